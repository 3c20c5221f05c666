// Incidents of an order: what is stuck, since when, and the verbs that help.
import { fill, freshId, h, icon } from "./dom.js";
import { dayAndTime } from "./format.js";
import * as api from "./api.js";
import { reasonInWords, titleOf } from "./words.js";

const by = "the shop page"; // who acted, for the journal

/** The incidents of one order. `show(incidents)` keeps forms that are being filled in. */
export function incidents(orderId) {
  const element = h("div", { class: "incidents" });
  let banners = new Map();

  function show(list) {
    const next = new Map();
    for (const incident of list ?? []) {
      const banner = banners.get(incident.step) ?? incidentBanner(orderId, incident.step);
      banner.show(incident);
      next.set(incident.step, banner);
    }
    const same = next.size === banners.size && [...next.keys()].every((step) => banners.has(step));
    banners = next;
    if (!same) fill(element, [...next.values()].map((banner) => banner.element));
  }

  return { element, show };
}

function incidentBanner(orderId, step) {
  const why = h("p", { class: "incident-why" });
  const since = h("p", { class: "small" });
  const answer = h("p", { class: "fault", role: "alert", hidden: true });
  const act = (verb, extra) => run({ orderId, step, verb, ...extra }, element, answer);
  const mails = step === "transaction.send";
  const titleId = freshId("incident-title");
  const element = h("section", { class: "incident", "data-testid": `incident-${step}`, "aria-labelledby": titleId },
    icon("incident"),
    h("div", { class: "incident-body" },
      h("h2", { id: titleId }, `${titleOf(step)}: this step needs help`),
      why, since,
      h("div", { class: "verbs" },
        mails && mendForm(step, act),
        h("button", { type: "button", class: "button", "data-testid": `incident-${step}-retry`, onclick: () => act("retry") }, "Retry now"),
        reasonForm(step, act)),
      answer));

  function show(incident) {
    const words = reasonInWords(incident.reason);
    why.textContent = [words, incident.detail !== words && incident.detail].filter(Boolean).join(" ");
    const time = dayAndTime(incident.since);
    since.textContent = `${mails ? "The order is paid and stands; nothing is undone. " : ""}${time ? `Waiting since ${time}.` : ""}`;
  }

  return { element, show };
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

/** Ending a step by hand needs a written reason: it stays in the order's history. */
function reasonForm(step, act) {
  const id = freshId("reason");
  const note = h("p", { class: "fault", id: `${id}-fault`, hidden: true }, "Write a reason first; it stays in the order’s history.");
  const reason = h("input", { type: "text", id, required: true, "aria-describedby": `${id}-fault`, "data-testid": `incident-${step}-reason` });
  const end = (verb) => {
    note.hidden = reason.value.trim() !== "";
    if (note.hidden) act(verb, { reason: reason.value.trim() });
    else reason.focus();
  };
  return h("details", { class: "by-hand" },
    h("summary", { "data-testid": `incident-${step}-by-hand` }, "End this step by hand"),
    h("form", { class: "verb-form", novalidate: true, onsubmit: (event) => { event.preventDefault(); end("skip"); } },
      h("label", { for: id }, "Reason"),
      h("div", { class: "verb-row" }, reason,
        h("button", { type: "submit", class: "button", "data-testid": `incident-${step}-skip` }, "Skip it"),
        h("button", { type: "button", class: "button", "data-testid": `incident-${step}-done`, onclick: () => end("done") }, "Mark as done")),
      note));
}

async function run({ orderId, step, verb, email, reason }, element, answer) {
  const buttons = element.querySelectorAll("button");
  answer.hidden = true;
  buttons.forEach((button) => { button.disabled = true; });
  try {
    await api.actOnIncident(orderId, { step, verb, email, reason, by });
  } catch (problem) {
    const faults = (problem.faults ?? []).map((fault) => fault.detail).join(" ");
    answer.textContent = [problem.message, faults].filter(Boolean).join(" ");
    answer.hidden = false;
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
  }
}
