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

export const stateWords = {
  waiting: "Waiting",
  running: "Running",
  retrying: "Trying again",
  done: "Done",
  refused: "Refused",
  failed: "Failed",
  skipped: "Not needed",
  undoing: "Undoing",
  undone: "Undone",
  incident: "Needs help",
};

/** States that do not change by themselves: worth telling a listener. */
export const settledStates = new Set(["done", "refused", "failed", "undone", "incident", "retrying"]);

export const serviceWords = {
  commande: "Orders",
  produit: "Products",
  inventaire: "Stock",
  paiement: "Payments",
  transaction: "Receipts",
};

const reasonWords = {
  ProduitNotFound: "One of the products is not sold here.",
  InventaireFail: "The articles could not be reserved.",
  OutOfStock: "There is not enough in stock.",
  PaiementCancel: "The payment was refused.",
  Declined: "The card was declined.",
  CardDeclined: "The card was declined.",
  InsufficientFunds: "The card has insufficient funds.",
  TransactionFail: "The receipt could not be made.",
  Switch: "A failure switch refused it.",
  Switched: "A failure switch refused it.",
  SwitchedOff: "A failure switch refused it.",
  Simulated: "A failure switch refused it.",
  InvalidCard: "The card number is not valid.",
  UnknownCard: "The card is not known to the gateway.",
  GatewayTimeout: "The payment gateway did not answer in time.",
  GatewayDown: "The payment gateway is down.",
  MailboxRefused: "The mailbox refuses the receipt.",
  AddressRefused: "The mailbox refuses this address.",
  PriceChanged: "A price changed after the basket was filled.",
  DeadlineExceeded: "It took too long.",
  Deadline: "It took too long.",
  Exhausted: "It was tried as often as allowed, without an answer.",
  AttemptsExhausted: "It was tried as often as allowed, without an answer.",
  RetriesExhausted: "It was tried as often as allowed, without an answer.",
  Timeout: "No answer came in time.",
  Unavailable: "The service cannot be reached.",
  Unreachable: "The service cannot be reached.",
  Cancelled: "It was cancelled on request.",
};

/**
 * A reason code ("InventaireFail.OutOfStock", "deadline_exceeded") as a sentence. The most specific part known decides;
 * an unknown code is spelled out.
 */
export function reasonInWords(code) {
  if (!code) return "";
  if (/\s/.test(code)) return code; // already words
  const parts = code.split(".").reverse();
  for (const part of parts) {
    const key = part.replace(/(^|[_-])([a-z])/g, (_, __, letter) => letter.toUpperCase());
    if (Object.hasOwn(reasonWords, key)) return reasonWords[key];
  }
  const words = spaced(parts[0]);
  return words.charAt(0).toUpperCase() + words.slice(1) + ".";
}

/** The card numbers of the demonstration and what each does. */
export const testCards = [
  { number: "4242424242424242", title: "Accepted", does: "The payment goes through." },
  { number: "4000000000000002", title: "Declined", does: "Refused: the order is undone." },
  { number: "4000000000009995", title: "Insufficient funds", does: "Refused: the order is undone." },
  { number: "4000000000000119", title: "Gateway times out", does: "No answer: Skald asks again." },
  { number: "4000000000000341", title: "Gateway down", does: "Errors: Skald asks again." },
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
