// One order: its saga as it happens, its end, its receipt.
import { fill, h, icon, say } from "./dom.js";
import { duration, money, shortId } from "./format.js";
import * as api from "./api.js";
import * as memory from "./memory.js";
import { flow } from "./flow.js";
import { follow } from "./stream.js";
import { incidents } from "./incident.js";
import { publishedEvents } from "./published.js";
import { pacer } from "./pace.js";
import { recentOrders } from "./recent.js";
import { modeTitles, modeWords, reasonInWords, settledStates, stateWords, titleOf } from "./words.js";
import { verdict } from "./verdict.js";

const connectionWords = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Connection lost, reconnecting…",
  ended: "Saga ended",
};

/** The view of an order. `first` is the order as the server just accepted it, or null when the page was opened by address. */
export function orderView({ id, first, open, buyAgain }) {
  const parts = {
    flow: flow(),
    published: publishedEvents(),
    incidents: incidents(id, () => parts.verdict.focus(), show),
    verdict: verdict({ buyAgain: () => buyAgain(memory.recentOrders().find((order) => order.id === id)?.items ?? []) }),
    recent: recentOrders({ open, current: id }),
    total: h("span", { class: "order-total" }),
    state: h("code", { "data-testid": "saga-state" }, "…"),
    mode: h("p", { class: "small quiet order-mode", "data-testid": "order-mode" }),
    connection: h("p", { class: "connection", "data-testid": "connection" }),
    news: h("p", { class: "visually-hidden", "aria-live": "polite", "data-testid": "saga-news" }),
  };
  const content = h("div", { class: "order-content" }, parts.verdict.element, parts.incidents.element, sagaPanel(id, parts), parts.published.element);
  const element = h("div", { class: "order" }, heading(id, parts), content, parts.recent.element, parts.news);
  const controller = new AbortController();
  const pace = pacer((late) => { parts.connection.dataset.late = String(late); });
  let stream = null;
  let shown = null;
  let key = "";

  function show(news) {
    const order = { outcome: "running", ...news }; // a just accepted order does not say it yet
    tell(parts.news, shown, order);
    shown = order;
    parts.flow.show(order);
    parts.published.show(order.events ?? []);
    parts.verdict.show(order);
    parts.incidents.show(order);
    showState(parts, order);
    memory.rememberOrder(remembered(order));
    parts.recent.show();
  }

  // A stream may begin with what is shown already; an older picture never replaces a newer one.
  function showNewer(order) {
    if (shown && (order.events ?? []).length < (shown.events ?? []).length) return;
    if (shown && isOver(shown) && !isOver(order)) return;
    show(order);
  }

  function watch() {
    stream = follow(id, {
      onOrder: (order) => {
        if (shown && isOver(shown)) return;
        key = JSON.stringify([order.outcome, order.steps, order.incidents]);
        pace.push(key, () => showNewer(order));
      },
      onPublished: (event) => pace.push(key, () => parts.published.add(event)),
      onConnection: (state) => pace.push(key, () => showConnection(parts, state)),
      onGone: showTrouble,
    });
  }

  async function load() {
    try {
      show(await api.order(id, controller.signal));
      fill(element, heading(id, parts), content, parts.recent.element, parts.news);
      watch();
    } catch (problem) {
      if (controller.signal.aborted) return;
      showTrouble(problem);
    }
  }

  function showTrouble(problem) {
    fill(element, heading(id, parts), trouble(problem, id, load), parts.recent.element);
  }

  function stop() {
    controller.abort();
    stream?.stop();
    pace.stop();
  }

  if (first?.steps) {
    show(first);
    watch();
  } else load();
  return { element, stop, title: `Order ${shortId(id)}` };
}

function heading(id, { total }) {
  return h("header", { class: "order-head" },
    h("div", null, h("h1", { tabindex: "-1" }, `Order ${shortId(id)}`), h("p", { class: "mono quiet order-id" }, id)),
    total);
}

function sagaPanel(id, { flow: drawing, state, mode, connection }) {
  return h("section", { class: "card panel saga", "aria-labelledby": "saga-title" },
    h("header", { class: "panel-head" },
      h("h2", { id: "saga-title" }, "The saga"),
      h("p", { class: "global-state" }, h("span", { class: "quiet" }, "State "), state),
      connection),
    mode, drawing.element,
    h("p", { class: "small" }, h("a", { href: `/console/#/sagas/${encodeURIComponent(id)}`, "data-testid": "order-console" }, "What an operator sees of it, in the console")));
}

function showState({ state, mode, total }, order) {
  if (order.mode && mode.childElementCount === 0) fill(mode, h("b", null, modeTitles[order.mode] ?? order.mode), ". ", modeWords[order.mode]);
  say(state, order.state);
  state.dataset.state = order.state;
  state.dataset.outcome = order.outcome;
  say(total, order.total_cents ? money(order.total_cents) : "");
}

const isOver = ({ outcome }) => outcome === "completed" || outcome === "compensated";

function showConnection({ connection: line, published }, state) {
  const took = state === "ended" ? published.span() : 0;
  line.dataset.connection = state;
  const sign = { reconnecting: "retrying", connecting: "waiting", ended: "done" }[state];
  fill(line, sign ? icon(sign) : h("span", { class: "pulse" }), h("span", { role: state === "reconnecting" ? "status" : null }, took > 0 ? `Ended after ${duration(took)}` : connectionWords[state]),
    state === "live" && h("span", { class: "late" }, "(slowed down for the eye)"));
}

/** What is kept of an order between visits. */
function remembered(order) {
  const kept = { id: order.id, outcome: order.outcome ?? "running", stuck: (order.incidents ?? []).length > 0 };
  if (order.total_cents) kept.total_cents = order.total_cents;
  return kept;
}

/** Tells a listener what changed: steps that settled, then the outcome. */
function tell(news, before, order) {
  const was = new Map((before?.steps ?? []).map((step) => [step.name, step.state]));
  const said = (order.steps ?? [])
    .filter((step) => before && was.get(step.name) !== step.state && settledStates.has(step.state))
    .map((step) => `${titleOf(step.name)}: ${stateWords[step.state].toLowerCase()}${step.by ? `, ${step.reason}.` : step.reason ? `, ${reasonInWords(step.reason)}` : "."}`);
  if (before && before.outcome !== order.outcome) {
    const words = { completed: "The order is confirmed.", compensated: (order.steps ?? []).some(({ state }) => state === "left") ? "The order was cancelled, and something was left as it is." : "The order was cancelled, everything is undone.", compensating: "Going back: undoing what was done." };
    said.push(words[order.outcome] ?? "");
  }
  if (said.length > 0) news.textContent = said.join(" ");
}

function trouble(problem, id, retry) {
  if (problem.status === 404) {
    return h("div", { class: "notice", "data-testid": "order-unknown" }, h("p", { class: "notice-text" },
      h("b", null, "This order is not known here. "), `There is no order ${id}. Its address may be mistyped, or the data was started afresh.`),
    h("a", { class: "button primary", href: "/shop/" }, "Go to the shop"));
  }
  return h("div", { class: "notice bad", role: "alert", "data-testid": "order-error" }, icon("offline"),
    h("p", { class: "notice-text" }, h("b", null, "The order cannot be shown right now. "), problem.message, " Your order is safe: it goes on without this page."),
    h("button", { type: "button", class: "button", onclick: retry }, "Try again"));
}
