// How the order stands, in one sentence, with what a person can do next.
import { fill, h, icon } from "./dom.js";
import { reasonInWords, titleOf } from "./words.js";

/** The verdict of an order. `buyAgain()` puts its articles back into the basket. */
export function verdict({ buyAgain }) {
  const element = h("section", { class: "verdict", "aria-label": "How the order stands" },
    icon("waiting"), words("Looking up the order…", "One moment."));
  let drawn = "";

  function show(order) {
    const key = JSON.stringify([order.outcome, order.reason, order.receipt, (order.incidents ?? []).length, undoneBy(order)?.name]);
    if (key === drawn) return;
    drawn = key;
    element.dataset.outcome = (order.incidents ?? []).length > 0 ? "incident" : order.outcome;
    fill(element, (pictures[element.dataset.outcome] ?? pictures.running)(order, buyAgain));
  }

  return { element, show };
}

const pictures = {
  running: () => [icon("running"), words("Your order is on its way through five services", "Each step lights up as its service answers. You may close this page; the order goes on.")],
  incident: (order) => [icon("incident"),
    words(order.receipt ? "Paid, with one thing left to settle" : "The order waits for a decision", "Nothing is lost. The step below says what it needs."), receipt(order)],
  compensating: (order) => [icon("undoing"), words("Going back: undoing what was done", reason(order))],
  completed: (order) => [icon("done"), words("Thank you. Your order is confirmed.",
    order.receipt?.number ? `Receipt ${order.receipt.number} was made.` : "All steps are done."), receipt(order)],
  compensated: (order, buyAgain) => [icon("undone"), words("The order was cancelled and everything is undone", reason(order)),
    h("div", { class: "verdict-actions" },
      h("button", { type: "button", class: "button", "data-testid": "buy-again", onclick: buyAgain }, "Fill the basket again"))],
};

function words(title, ...rest) {
  return h("div", { class: "verdict-text" }, h("h2", null, title), h("p", null, rest));
}

/** The step that turned the saga back, if one is known. */
function undoneBy(order) {
  return (order.steps ?? []).find((step) => step.state === "refused" || step.state === "failed");
}

function reason(order) {
  const step = undoneBy(order);
  const code = order.reason || step?.reason;
  const detail = step?.detail;
  const sentence = reasonInWords(code);
  return h("span", { "data-testid": "order-reason", "data-reason": code ?? "" },
    step ? `${titleOf(step.name)}: ` : "", sentence || "a step could not be done.",
    detail && detail !== sentence ? ` ${asSentence(detail)}` : "");
}

function asSentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

function receipt(order) {
  if (!order.receipt) return null;
  return h("div", { class: "verdict-actions" },
    h("a", { class: "button primary", href: order.receipt.html, target: "_blank", rel: "noopener", "data-testid": "receipt-html" }, icon("file"), "Open the receipt"),
    h("a", { class: "button", href: order.receipt.pdf, target: "_blank", rel: "noopener", "data-testid": "receipt-pdf" }, "PDF"));
}
