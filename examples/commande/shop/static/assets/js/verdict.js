// How the order stands, in one sentence, with what a person can do next.
import { fill, h, icon } from "./dom.js";
import { asSentence, contradiction, isKnownReason, reasonInWords, titleOf, undoOf } from "./words.js";

/** The verdict of an order. `buyAgain()` puts its articles back into the basket. `focus()` leads a reader to it. */
export function verdict({ buyAgain }) {
  const element = h("section", { class: "verdict", "aria-label": "How the order stands" },
    icon("waiting"), words("Looking up the order…", "One moment."));
  let drawn = "";

  function show(order) {
    const key = JSON.stringify([order.outcome, order.reason, order.receipt, (order.incidents ?? []).length, undoneBy(order)?.name, byHand(order)]);
    if (key === drawn) return;
    drawn = key;
    const read = element.contains(document.activeElement);
    element.dataset.outcome = pictureOf(order);
    fill(element, (pictures[element.dataset.outcome] ?? pictures.running)(order, buyAgain));
    if (read) focus();
  }

  const focus = () => element.querySelector("h2").focus({ preventScroll: true });

  return { element, show, focus };
}

const byHand = (order) => (order.steps ?? []).filter((step) => step.by).map(({ name, state, by, reason }) => ({ name, state, by, reason }));
const inState = (order, state) => byHand(order).filter((step) => step.state === state);

function pictureOf(order) {
  if ((order.incidents ?? []).some((incident) => incident.reason !== contradiction)) return "incident";
  return order.outcome === "compensated" && inState(order, "left").length > 0 ? "left" : order.outcome;
}

const pictures = {
  running: () => [icon("running"), words("Your order is on its way through five services", "Each step lights up as its service answers. You may close this page; the order goes on.")],
  incident: (order) => [icon("incident"),
    words(order.receipt ? "Paid, with one thing left to settle" : "The order waits for a decision", "Nothing is lost. The step below says what it needs."), receipt(order)],
  compensating: (order) => [icon("undoing"), words("Going back: undoing what was done", reason(order))],
  completed: (order) => [icon("done"), words(completedTitle(order), completedWords(order)), receipt(order)],
  compensated: (order, buyAgain) => [icon("undone"), words("The order was cancelled and everything is undone", [reason(order), ...handNotes(order, "undone")]), again(buyAgain)],
  left: (order, buyAgain) => [icon("left"), words(leftTitle(order), [reason(order), ...handNotes(order, "undone")]), again(buyAgain)],
};

function words(title, ...rest) {
  return h("div", { class: "verdict-text" }, h("h2", { tabindex: "-1" }, title), h("p", null, rest.flat()));
}

function completedTitle(order) {
  const skipped = inState(order, "skipped");
  if (skipped.length === 0) return "Thank you. Your order is confirmed.";
  return `Confirmed. ${skipped.map(({ name, reason: why }) => `${name === "transaction.send" ? "The receipt was not sent" : `${titleOf(name)} was left out`}: ${bare(why)}.`).join(" ")}`;
}

function completedWords(order) {
  const notes = [...inState(order, "skipped").map(({ name, by }) => `${titleOf(name)} was skipped by ${by}.`), ...handNotes(order, "done")];
  if (order.receipt?.number) notes.push(` Receipt ${order.receipt.number} was made.`);
  return notes.length > 0 ? notes : ["All steps are done."];
}

/** What a person wrote, and who it was. */
const bare = (why) => (why ?? "").replace(/[.]$/, "");
const note = ({ by, reason: why }) => ` ${bare(why)} (${by}).`;
const handNotes = (order, state) => inState(order, state).map((step) =>
  ` ${state === "undone" ? undoOf(step.name) || titleOf(step.name) : titleOf(step.name)} was done by hand:${note(step)}`);

function leftTitle(order) {
  const left = inState(order, "left");
  const what = left.map(({ name, reason: why }) => `${undoOf(name) || titleOf(name)} (reason: ${why})`).join("; ");
  return `The order was cancelled. ${left.length === 1 ? "One thing was" : `${left.length} things were`} left as it is: ${what}.`.replace("were left as it is", "were left as they are");
}

/** The step that turned the saga back, if one is known: also when it is undone by now. */
function undoneBy(order) {
  const steps = order.steps ?? [];
  return steps.find((step) => step.state === "refused" || step.state === "failed")
    ?? steps.find((step) => order.reason && step.reason === order.reason);
}

function reason(order) {
  const step = undoneBy(order);
  const code = order.reason || step?.reason;
  return h("span", { "data-testid": "order-reason", "data-reason": code ?? "" },
    step ? `${titleOf(step.name)}: ` : "", why(step, code), charged(step, order));
}

function why(step, code) {
  if (code === "skald.retries_exhausted" && step?.tries > 1) {
    const detail = (step.detail || "no clear answer came").replace(/[.]$/, "").replace(/^The /, "the ");
    return `${detail} after ${step.tries} tries.`;
  }
  if (!code) return "a step could not be done.";
  return isKnownReason(code) || !step?.detail ? reasonInWords(code) : asSentence(step.detail);
}

/** Whoever reads that a payment got no answer wants to know about the money. */
function charged(step, order) {
  const undone = step?.name === "paiement.charge" && step.state !== "left" && order.outcome === "compensated";
  return undone ? " Nothing was charged." : "";
}

function again(buyAgain) {
  return h("div", { class: "verdict-actions" },
    h("button", { type: "button", class: "button", "data-testid": "buy-again", onclick: buyAgain }, "Fill the basket again"));
}

function receipt(order) {
  if (!order.receipt) return null;
  return h("div", { class: "verdict-actions" },
    h("a", { class: "button primary", href: order.receipt.html, target: "_blank", rel: "noopener", "data-testid": "receipt-html" }, icon("file"), "Open the receipt"),
    h("a", { class: "button", href: order.receipt.pdf, target: "_blank", rel: "noopener", "data-testid": "receipt-pdf" }, "PDF"));
}
