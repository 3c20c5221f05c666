// What the page knows about the saga `commande`: titles, words for states, reasons in plain language. Pure data.
import { spaced } from "./format.js";

/**
 * The steps in the order they are drawn. `undo` names the compensation; `branch` steps run side by side after the
 * point of no return.
 */
export const steps = [
  { name: "commande.create", title: "Create order", undo: "Cancel order" },
  { name: "produit.check", title: "Check products" },
  { name: "inventaire.reserve", title: "Reserve articles", undo: "Release articles" },
  { name: "paiement.charge", title: "Take payment", undo: "Refund payment" },
  { name: "transaction.issue", title: "Make receipt", pivot: true },
  { name: "commande.confirm", title: "Confirm order", branch: true },
  { name: "transaction.send", title: "Send receipt", branch: true },
];

/** The title of a step or of any other operation; an unknown one is shown by its name. */
export function titleOf(operation) {
  const step = steps.find((known) => known.name === operation);
  return step?.title ?? operationTitles[operation] ?? spaced(operation.replace(".", " "));
}

const operationTitles = {
  "commande.cancel": "Cancel order",
  "inventaire.release": "Release articles",
  "paiement.refund": "Refund payment",
};

/** Operations that undo another one. */
export const isUndo = (operation) => operation in operationTitles;

/** Where an operation stands in the saga; what undoes a step stands right after it, what is unknown at the end. */
export function placeInSaga(operation) {
  const at = steps.findIndex(({ name, undo }) => name === operation || (undo && undo === operationTitles[operation]));
  return at < 0 ? Infinity : at + (isUndo(operation) ? 0.5 : 0);
}

export const stateWords = {
  waiting: "Waiting",
  running: "Running",
  retrying: "Trying again",
  done: "Done",
  refused: "Refused",
  failed: "Failed",
  skipped: "Skipped",
  undoing: "Undoing",
  undone: "Undone",
  left: "Left as it is",
  incident: "Needs help",
};

/** States that do not change by themselves: worth telling a listener. */
export const settledStates = new Set(["done", "refused", "failed", "undone", "left", "incident", "retrying"]);

export const serviceWords = {
  commande: "Orders",
  produit: "Products",
  inventaire: "Stock",
  paiement: "Payments",
  transaction: "Receipts",
};

/** The reason code of an incident about what is decided already: no step waits for it. */
export const contradiction = "skald.contradiction";

// By whole code where the last part alone would be ambiguous, else by the last part.
const reasonWords = {
  "ProduitNotFound.Unknown": "One of the products is not sold here.",
  "ProduitNotFound.Quantity": "A quantity cannot be ordered.",
  "InventaireFail.Unknown": "One of the articles is not in the stock’s books.",
  EmptyBasket: "The basket was empty.",
  OutOfStock: "There is not enough in stock.",
  CardDeclined: "The card was declined.",
  InsufficientFunds: "The card has insufficient funds.",
  InvalidCard: "The card number is not valid.",
  Totals: "The sums on the receipt do not add up.",
  MailboxRefused: "The mailbox refuses the receipt.",
  Switched: "A failure switch made it refuse.",
  ProduitNotFound: "One of the products is not sold here.",
  InventaireFail: "The articles could not be reserved.",
  PaiementCancel: "The payment was refused.",
  TransactionFail: "The receipt could not be made.",
  "skald.retries_exhausted": "It was tried as often as allowed, without a clear answer.",
  "skald.unknown_result": "Whether it took effect is not known.",
  "skald.no_progress": "Nothing has moved for a while.",
  "skald.deadline": "It took too long.",
  "skald.cancelled": "It was cancelled on request.",
  "skald.abandoned": "No longer asked: the order is being undone.",
  "skald.definition_missing": "The program that runs here does not know this saga’s definition.",
  "skald.mapping": "Its input could not be made from the steps before it.",
  "skald.malformed": "The service could not read the request.",
  "skald.conflict": "The service was asked the same thing with other content before.",
  [contradiction]: "The service answered twice, and the answers contradict each other.",
  "skald.forgotten": "The service no longer remembers whether it did this.",
  "skald.compensated": "It was undone before it was done.",
};

/** What undoes a step, by the step's name; "" if nothing does. */
export const undoOf = (name) => steps.find((known) => known.name === name)?.undo ?? "";

/** Whether there is a sentence of our own for a reason code: it says what a service's detail would say less well. */
export const isKnownReason = (code) => [code, (code ?? "").split(".").pop()].some((key) => Object.hasOwn(reasonWords, key));

/** A text as a sentence: with a capital and a full stop. */
export function asSentence(text) {
  if (!text) return "";
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? "" : "."}`;
}

/** A reason code ("InventaireFail.OutOfStock", "skald.deadline") as a sentence; an unknown code is spelled out. */
export function reasonInWords(code) {
  if (!code) return "";
  const last = code.slice(code.lastIndexOf(".") + 1);
  for (const key of [code, last]) {
    if (Object.hasOwn(reasonWords, key)) return reasonWords[key];
  }
  const words = spaced(last);
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

/** The card numbers of the demonstration and what each does. */
export const testCards = [
  { number: "4242424242424242", title: "Accepted", does: "The payment goes through." },
  { number: "4000000000000002", title: "Declined", does: "Refused: the order is undone." },
  { number: "4000000000009995", title: "Insufficient funds", does: "Refused: the order is undone." },
  { number: "4000000000000119", title: "Gateway times out", does: "No answer: asked again, then undone." },
  { number: "4000000000000341", title: "Gateway down", does: "Errors: asked again, then undone." },
];

/** What can be set on a failure switch. `extra` names the number that goes with it. */
export const switchModes = [
  { mode: "off", title: "Works normally" },
  { mode: "refuse", title: "Refuses" },
  { mode: "slow", title: "Is slow", extra: "delay_ms" },
  { mode: "down", title: "Is down" },
  { mode: "error500", title: "Answers 500", extra: "count" },
  { mode: "drop", title: "Drops the answer after the effect", extra: "count" },
];

/** The two modes of a saga, and what each means, in two sentences. */
export const modeTitles = { orchestrated: "Orchestrated", choreographed: "Choreographed" };

export const modeWords = {
  orchestrated: "OrchestratorService calls one service after the other and writes down each answer. When one refuses, it asks the others to undo what they did.",
  choreographed: "Nobody is in the middle: the services hear from each other over the broker. OrchestratorService only starts the order and keeps its history.",
};
