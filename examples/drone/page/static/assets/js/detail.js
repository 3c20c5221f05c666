// The selected delivery: its saga drawn, what can be done about it, and its history.
import { fill, freshId, h, icon, say } from "../../shop/assets/js/dom.js";
import { shortId, spaced, timeOfDay } from "../../shop/assets/js/format.js";
import * as api from "./api.js";
import { diagram } from "./diagram.js";
import { stageOf } from "./list.js";
import { asSentence, deadlines, pickupTimes, reasonInWords, titleOf } from "./words.js";

const lookEvery = 1500; // milliseconds between looks at the history of a delivery under way

/** The panel in `element`. `select(id)` says which, `show(deliveries)` what is known of all. */
export function deliveryDetail(element) {
  const title = h("h2", { id: "delivery-title", tabindex: "-1" }, "Delivery");
  const body = h("div", { class: "detail-body" });
  let id = "";
  let delivery = null;
  let view = null;
  let timer = 0;
  let looking = null;
  fill(element, title, body);

  function select(next) {
    if (next === id && view) return;
    id = next;
    clearTimeout(timer);
    looking?.abort();
    delivery = null;
    if (!id) {
      view = null;
      say(title, "Delivery");
      fill(body, h("p", { class: "quiet empty" }, "Choose a delivery, or a drone that flies, to see its two legs join."));
      return;
    }
    say(title, `Delivery ${shortId(id)}`);
    view = parts(id, look);
    fill(body, view.element);
    look();
  }

  async function look() {
    clearTimeout(timer);
    looking?.abort();
    looking = new AbortController();
    const { signal } = looking;
    try {
      const history = await api.history(id, signal);
      view.showHistory(history);
      if (history.outcome === "completed" || history.outcome === "compensated") return;
    } catch (problem) {
      if (signal.aborted) return;
      view.fault(problem);
    }
    if (!signal.aborted) timer = setTimeout(look, lookEvery);
  }

  function show(deliveries) {
    const now = deliveries.find((other) => other.id === id) ?? null;
    if (!view || !now) return;
    const moved = !delivery || now.stage !== delivery.stage || now.outcome !== delivery.outcome || JSON.stringify(now.legs) !== JSON.stringify(delivery.legs);
    delivery = now;
    view.showDelivery(now);
    if (moved) look();
  }

  select("");
  return { select, show, focus: () => title.focus({ preventScroll: true }) };
}

function parts(id, changed) {
  const drawing = diagram();
  const verdict = h("div", { class: "verdict", "data-outcome": "running", "data-testid": "verdict", role: "status" });
  const facts = h("dl", { class: "facts" });
  const actions = actionBar(id, changed);
  const incidents = h("div", { class: "incidents" });
  const events = h("tbody");
  const trouble = h("p", { class: "fault", hidden: true });
  const element = h("div", { class: "detail-parts" }, verdict, drawing.element, incidents, actions.element, facts, trouble,
    h("details", { class: "history", open: true }, h("summary", null, "History"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "History" }, h("table", { class: "events" },
        h("thead", null, h("tr", null, ["Time", "Event", "Step", "Reason"].map((head) => h("th", { scope: "col" }, head)))), events))));
  let outcome = "running";
  let stage = "";
  let legs = null;
  let reason = "";

  function showVerdict() {
    verdict.dataset.outcome = outcome;
    const sign = { completed: "done", compensated: "undone", compensating: "undoing" }[outcome] ?? "running";
    const words = {
      completed: "The parcel is there, the drone is free again, those concerned were told.",
      compensated: "Nothing is left of it: the drone is free, the package withdrawn.",
      compensating: "What was done is being undone, in reverse order.",
    }[outcome] ?? "Nobody steers it: each service acts on what it hears from the others.";
    const state = stageOf({ stage, outcome, reason, legs });
    if (verdict.dataset.shown === `${state}${reason}${outcome}`) return;
    verdict.dataset.shown = `${state}${reason}${outcome}`;
    fill(verdict, icon(sign), h("div", null, h("b", { "data-testid": "stage" }, state), h("p", null, reason && outcome !== "completed" && `${reasonInWords(reason)} `, words),
      reason && outcome !== "completed" && h("code", { "data-testid": "reason" }, reason)));
  }

  function showDelivery(delivery) {
    outcome = delivery.outcome || "running";
    ({ stage, legs } = delivery);
    reason = delivery.reason || reason;
    showVerdict();
    actions.show(delivery);
    fill(facts, fact("From", delivery.pickup), fact("To", delivery.dropoff), fact("Drone", delivery.droneId || "none"), fact("Requested", timeOfDay(delivery.requested)));
  }

  function showHistory(history) {
    trouble.hidden = true;
    outcome = history.outcome || history.state || "running";
    reason = history.reason || reason;
    showVerdict();
    drawing.show(history.steps);
    fill(incidents, (history.incidents ?? []).map((incident) => h("div", { class: "notice warn" }, icon("incident"),
      h("p", { class: "notice-text" }, h("b", null, `${incident.step ? `${titleOf(incident.step)} needs` : "It needs"} help. `), reasonInWords(incident.reason), " ", asSentence(incident.detail)))));
    fill(events, (history.events ?? []).toReversed().map((event) => h("tr", null,
      h("td", { class: "mono" }, timeOfDay(event.at)), h("td", null, spaced(event.kind ?? "")), h("td", null, event.step && titleOf(event.step)),
      h("td", { title: event.detail || null }, event.reason && h("code", null, event.reason)))));
  }

  function fault(problem) {
    trouble.hidden = false;
    say(trouble, problem.status === 404 ? "Its history is not known (yet)." : `The history cannot be read: ${problem.whole}`);
  }

  showVerdict();
  return { element, showDelivery, showHistory, fault };
}

const fact = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value || "unknown"));

/** Cancel and reschedule, while they can be asked for. */
function actionBar(id, changed) {
  const answer = h("p", { class: "answer", role: "status", "data-testid": "action-answer" });
  const cancel = h("button", { type: "button", class: "button slim", "data-testid": "cancel", onclick: () => ask(() => api.cancelDelivery(id), "Cancel was asked for.") }, "Cancel");
  const select = (name, options) => h("select", { id: freshId(name), "data-testid": `reschedule-${name}` }, options.map(([value, text]) => h("option", { value }, text)));
  const [pickup, deadline] = [select("pickup", pickupTimes), select("deadline", deadlines)];
  const form = h("form", { class: "reschedule-form", hidden: true, onsubmit: (event) => { event.preventDefault(); reschedule(); } },
    h("label", { for: pickup.id }, "New pickup ", pickup), h("label", { for: deadline.id }, "New deadline ", deadline), h("button", { type: "submit", class: "button slim primary", "data-testid": "reschedule-send" }, "Reschedule"));
  const open = h("button", { type: "button", class: "button slim", "aria-expanded": "false", "data-testid": "reschedule", onclick: () => {
    form.hidden = !form.hidden;
    open.setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden) pickup.focus();
  } }, "Reschedule…");
  const element = h("div", { class: "action-bar" }, h("div", { class: "action-buttons" }, cancel, open), form, answer);
  pickup.value = "20";

  function reschedule() {
    const from = (seconds) => (seconds === "" ? "" : new Date(Date.now() + Number(seconds) * 1000).toISOString());
    ask(() => api.rescheduleDelivery(id, { pickupTime: from(pickup.value), deadline: from(deadline.value) }), "The new times were asked for.");
  }

  async function ask(what, done) {
    answer.classList.remove("bad");
    cancel.disabled = true;
    try {
      await what();
      say(answer, done);
      form.hidden = true;
      open.setAttribute("aria-expanded", "false");
    } catch (problem) {
      answer.classList.add("bad");
      fill(answer, icon("refused"), h("span", null, problem.reason ? `${reasonInWords(problem.reason)} ` : asSentence(problem.whole), problem.reason && h("code", null, problem.reason)));
    } finally {
      cancel.disabled = false;
      changed();
    }
  }

  return {
    element,
    show({ outcome }) {
      const ended = outcome === "completed" || outcome === "compensated";
      element.querySelector(".action-buttons").hidden = ended;
      if (ended) form.hidden = true;
    },
  };
}
