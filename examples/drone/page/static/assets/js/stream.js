// Following the fleet and the deliveries: server-sent events, with reconnection that never gives up.
import * as api from "./api.js";

const firstWait = 500; // milliseconds
const longestWait = 8000;

/**
 * Follows for ever. `onFleet` and `onDeliveries` come with what is known at first and with every change, `onConnection(state)` with "connecting", "live" or "reconnecting".
 * The browser reconnects by itself; where it gives up (an answer that is not a stream), this opens the stream anew, more and more slowly. After every opening both lists are
 * asked for, since changes may have been missed.
 */
export function follow({ onFleet, onDeliveries, onConnection }) {
  let wait = firstWait;

  function open() {
    const source = new EventSource(api.streamURL);
    source.addEventListener("open", () => {
      wait = firstWait;
      onConnection("live");
      refresh();
    });
    source.addEventListener("fleet", (message) => onFleet(JSON.parse(message.data)));
    source.addEventListener("deliveries", (message) => onDeliveries(JSON.parse(message.data)));
    source.addEventListener("error", () => {
      onConnection("reconnecting");
      if (source.readyState !== EventSource.CLOSED) return; // the browser is at it
      setTimeout(open, wait);
      wait = Math.min(longestWait, wait * 2);
    });
  }

  /** Asks for both lists; without an answer, the stream says so. */
  async function refresh() {
    const [fleet, deliveries] = await Promise.all([api.fleet().catch(() => null), api.deliveries().catch(() => null)]);
    if (fleet) onFleet(fleet);
    if (deliveries) onDeliveries(deliveries);
  }

  onConnection("connecting");
  open();
  return { refresh };
}
