// Incidents of an order: what is stuck, since when, and the verbs that help.
import { fill, freshId, h, icon, say } from "./dom.js";
import { dayAndTime, minuteOfDay } from "./format.js";
import * as api from "./api.js";
import { asSentence, contradiction, isKnownReason, reasonInWords, titleOf, undoOf } from "./words.js";

const by = "the shop page"; // who acted, for the journal
const stays = 3000; // milliseconds that a banner stays after its incident closed, in case it comes back
const over = new Set(["done", "skipped", "undone", "left"]);

/**
 * The incidents of one order. `show(order)` keeps forms that are being filled in, and keeps a banner for a moment after somebody acted on it: a step
 * that is refused again answers in its place. `settled()` is called when a banner with the focus goes, `acted(order)` with what became of an order that may have ended: nobody tells of those any more.
 */
export function incidents(orderId, settled, acted) {
  const element = h("div", { class: "incidents" });
  const banners = new Map();

  function show(order) {
    const open = new Set();
    for (const incident of order.incidents ?? []) {
      const step = incident.step ?? "";
      const twofold = incident.reason === contradiction; // beside one that waits for help, the same step may have one of these
      const key = `${step} ${twofold}`;
      open.add(key);
      if (!banners.has(key)) {
        banners.set(key, twofold ? contradictionBanner(orderId, step, acted) : incidentBanner(orderId, step, () => drop(key)));
        element.append(banners.get(key).element);
      }
      banners.get(key).show(incident, order.outcome === "compensating");
    }
    for (const [key, banner] of banners) {
      if (open.has(key)) continue;
      const state = (order.steps ?? []).find(({ name }) => name === banner.step)?.state;
      if (over.has(state) || !banner.lingers()) drop(key);
    }
  }

  function drop(key) {
    const banner = banners.get(key);
    if (!banner) return;
    const read = banner.element.contains(document.activeElement);
    banners.delete(key);
    banner.stop();
    fill(element, [...banners.values()].map((other) => other.element));
    if (read) settled();
  }

  return { element, show };
}

function incidentBanner(orderId, step, gone) {
  const titleId = freshId("incident-title");
  const title = h("h2", { id: titleId });
  const why = h("p", { class: "incident-why" });
  const since = h("p", { class: "small" });
  const status = h("p", { class: "incident-status", role: "status", "data-testid": `incident-${step}-status` });
  const answer = h("p", { class: "fault", role: "alert", hidden: true });
  const mails = step === "transaction.send";
  const hand = reasonForm(step, act);
  const element = h("section", { class: "incident", "data-testid": `incident-${step}`, "aria-labelledby": titleId },
    icon("incident"),
    h("div", { class: "incident-body" }, title, why, since,
      h("div", { class: "verbs" },
        mails && mendForm(step, act),
        h("button", { type: "button", class: "button", "data-testid": `incident-${step}-retry`, onclick: () => act("retry") }, "Retry now"),
        hand.element),
      status, answer));
  let tried = null; // the last act whose result is not known yet: {email}
  let known = ""; // since when the incident that is shown is open
  let timer = 0;
  let busy = false;

  function show(incident, back) {
    clearTimeout(timer);
    timer = 0;
    const undo = back && undoOf(step);
    say(title, undo ? `${undo} (undoing ${titleOf(step)}) needs help` : step ? `${titleOf(step)} needs help` : "The order needs help");
    hand.name(Boolean(undo));
    say(why, isKnownReason(incident.reason) && !mails ? reasonInWords(incident.reason) : asSentence(incident.detail) || reasonInWords(incident.reason));
    const time = dayAndTime(incident.since);
    say(since, `${mails ? "The order is paid and stands; nothing is undone. " : ""}${time ? `Waiting since ${time}.` : ""}`);
    if (tried && known && known !== incident.since) {
      const again = incident.reason?.startsWith("skald.") ? "still no success" : "refused again";
      say(status, `Tried at ${minuteOfDay(incident.since)}${tried.email ? ` with ${tried.email}` : ""}: ${again}.`);
      tried = null;
    }
    known = incident.since;
  }

  /** Whether the banner stays although its incident closed; it goes by itself after a moment. */
  function lingers() {
    if (tried && timer === 0) timer = setTimeout(gone, stays);
    return Boolean(tried);
  }

  async function act(verb, extra = {}) {
    if (busy) return; // the button keeps the focus, so it is not disabled
    busy = true;
    tried = { email: extra.email };
    answer.hidden = true;
    say(status, verb === "retry" || verb === "replace" ? "Trying again…" : "Ending it…");
    try {
      await api.actOnIncident(orderId, { step, verb, by, ...extra });
    } catch (problem) {
      tried = null;
      say(status, "");
      answer.textContent = (problem.faults ?? []).map((fault) => fault.detail).join(" ") || asSentence(problem.message);
      answer.hidden = false;
    } finally {
      busy = false;
    }
  }

  return { element, step, show, lingers, stop: () => clearTimeout(timer) };
}

/** What a service says against its own first answer. Nothing waits for it, and the order may have ended: the one verb says that somebody has looked. */
function contradictionBanner(orderId, step, acted) {
  const titleId = freshId("incident-title");
  const id = freshId("reason");
  const why = h("p", { class: "incident-why" });
  const since = h("p", { class: "small" });
  const answer = h("p", { class: "fault", role: "alert", id: `${id}-fault`, hidden: true });
  const reason = h("input", { type: "text", id, required: true, "aria-describedby": `${id}-fault`, "data-testid": `incident-${step}-found` });
  let busy = false;

  function complain(words) {
    answer.textContent = words;
    answer.hidden = words === "";
  }

  async function seen(event) {
    event.preventDefault();
    if (busy) return;
    complain("");
    if (reason.value.trim() === "") {
      complain("Write what you found first; it stays in the order’s history.");
      reason.focus();
      return;
    }
    busy = true;
    try {
      acted(await api.actOnIncident(orderId, { step, verb: "seen", by, reason: reason.value.trim() }));
    } catch (problem) {
      complain((problem.faults ?? []).map((fault) => fault.detail).join(" ") || asSentence(problem.message));
    } finally {
      busy = false;
    }
  }

  const element = h("section", { class: "incident", "data-testid": `contradiction-${step}`, "aria-labelledby": titleId },
    icon("incident"),
    h("div", { class: "incident-body" },
      h("h2", { id: titleId }, `${titleOf(step)} was answered in two ways`), why,
      h("p", { class: "small" }, "The order stands as it is: it goes by the first answer."), since,
      h("div", { class: "verbs" },
        h("form", { class: "verb-form", novalidate: true, onsubmit: seen },
          h("label", { for: id }, "What you found"),
          h("div", { class: "verb-row" }, reason, h("button", { type: "submit", class: "button primary", "data-testid": `incident-${step}-seen` }, "Seen"))),
      ), answer));

  function show(incident) {
    say(why, asSentence(incident.detail) || reasonInWords(incident.reason));
    const time = dayAndTime(incident.since);
    say(since, time ? `Noticed on ${time}.` : "");
  }

  return { element, step, show, lingers: () => false, stop: () => {} };
}

function mendForm(step, act) {
  const id = freshId("mend");
  const email = h("input", { type: "email", id, autocomplete: "email", required: true, "data-testid": `incident-${step}-email` });
  return h("form", {
    class: "verb-form", novalidate: true,
    onsubmit: (event) => {
      event.preventDefault();
      act("replace", { email: email.value.trim() });
    },
  }, h("label", { for: id }, "Another e-mail address"),
  h("div", { class: "verb-row" }, email,
    h("button", { type: "submit", class: "button primary", "data-testid": `incident-${step}-replace` }, "Mend the address")));
}

/** Ending a step by hand needs a written reason: it stays in the order's history. `name(back)` says what the verbs mean on the way back. */
function reasonForm(step, act) {
  const id = freshId("reason");
  const note = h("p", { class: "fault", id: `${id}-fault`, hidden: true }, "Write a reason first; it stays in the order’s history.");
  const reason = h("input", { type: "text", id, required: true, "aria-describedby": `${id}-fault`, "data-testid": `incident-${step}-reason` });
  const skip = h("button", { type: "submit", class: "button", "data-testid": `incident-${step}-skip` });
  const done = h("button", { type: "button", class: "button", "data-testid": `incident-${step}-done`, onclick: () => end("done") });
  const end = (verb) => {
    note.hidden = reason.value.trim() !== "";
    if (note.hidden) act(verb, { reason: reason.value.trim() });
    else reason.focus();
  };
  const element = h("details", { class: "by-hand" },
    h("summary", { "data-testid": `incident-${step}-by-hand` }, "End this step by hand"),
    h("form", { class: "verb-form", novalidate: true, onsubmit: (event) => { event.preventDefault(); end("skip"); } },
      h("label", { for: id }, "Reason"),
      h("div", { class: "verb-row" }, reason, skip, done),
      note));

  function name(back) {
    say(skip, back ? "Leave it as it is" : "Skip it");
    say(done, back ? "It was undone by hand" : "Mark as done");
  }

  return { element, name };
}
