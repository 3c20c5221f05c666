// Following an order: server-sent events, with reconnection, and an end.
import * as api from "./api.js";

const firstWait = 1000; // milliseconds
const longestWait = 10000;

/**
 * Follows an order until it ends or `stop()` is called.
 *
 * `onOrder(order)` comes with every change, `onPublished({name, source, time})` with every event published (never twice),
 * `onConnection(state)` with "connecting", "live", "reconnecting" or "ended", `onGone(problem)` once if the server no
 * longer knows the order. The browser reconnects by itself; where it gives up (an answer that is not a stream), this asks
 * for the order and opens the stream anew, more and more slowly.
 */
export function follow(id, { onOrder, onPublished, onConnection, onGone }) {
  const seen = new Set();
  let source = null;
  let timer = 0;
  let wait = firstWait;
  let over = false; // the outcome is known
  let stopped = false;

  function open() {
    source = new EventSource(api.orderEventsURL(id));
    source.addEventListener("open", () => {
      wait = firstWait;
      onConnection("live");
    });
    source.addEventListener("commande", (message) => changed(JSON.parse(message.data)));
    source.addEventListener("published", (message) => published(JSON.parse(message.data)));
    source.addEventListener("end", () => stop("ended"));
    source.addEventListener("error", lost);
  }

  function changed(order) {
    over = order.outcome === "completed" || order.outcome === "compensated";
    onOrder(order);
  }

  function published(event) {
    const key = `${event.name} ${event.source} ${event.time}`;
    if (seen.has(key)) return;
    seen.add(key);
    onPublished(event);
  }

  function lost() {
    if (over) {
      stop("ended");
      return;
    }
    onConnection("reconnecting");
    if (source.readyState !== EventSource.CLOSED) return; // the browser is at it
    source.close();
    later(reopen);
  }

  async function reopen() {
    try {
      const order = await api.order(id);
      if (stopped) return;
      changed(order);
      open();
    } catch (problem) {
      if (stopped) return;
      if (problem.status === 404) {
        stop(null);
        onGone(problem);
      } else later(reopen);
    }
  }

  function later(action) {
    timer = setTimeout(action, wait);
    wait = Math.min(longestWait, wait * 2);
  }

  function stop(state) {
    if (stopped) return;
    stopped = true;
    clearTimeout(timer);
    source?.close();
    if (state) onConnection(state);
  }

  onConnection("connecting");
  open();
  return { stop: () => stop(null) };
}
