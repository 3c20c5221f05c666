// The till: who buys, with which card, and the button that starts the saga.
import { fill, h, icon, say } from "./dom.js";
import { money } from "./format.js";
import * as api from "./api.js";
import * as memory from "./memory.js";
import { asSentence, testCards } from "./words.js";

/** Digits in groups of four, as on a card. */
const grouped = (text) => text.replace(/\D/g, "").slice(0, 19).replace(/(\d{4})(?=\d)/g, "$1 ");

/**
 * The form. `basket` is what is bought, `showLineFaults` places complaints about its lines, `accepted(order)` is called
 * with the order the server took.
 */
export function checkout({ basket, showLineFaults, accepted }) {
  const customer = memory.customer();
  const fields = {
    client: field("client", "Your name", { autocomplete: "name", value: customer.client }),
    email: field("email", "E-mail for the receipt", { type: "email", autocomplete: "email", value: customer.email }),
    card: field("card", "Card number", { inputmode: "numeric", autocomplete: "off", placeholder: "Pick a test card or type one", class: "card-number" }),
  };
  const cards = cardChoice(fields.card.input);
  const trouble = h("div", { class: "trouble", role: "alert", "data-testid": "order-trouble" });
  const submit = h("button", { type: "submit", class: "button primary submit", "data-testid": "order-submit" });
  const form = h("form", { class: "checkout", id: "checkout", novalidate: true, "aria-labelledby": "checkout-title", onsubmit: send },
    h("h2", { id: "checkout-title" }, "Pay"),
    fields.client.element, fields.email.element, fields.card.element, cards, trouble, submit,
    h("p", { class: "small quiet" }, "A demonstration: no real card is charged."));
  let sending = false;
  let products = [];

  function show(known = products) {
    products = known;
    submit.disabled = sending || basket.empty;
    say(submit, submitLabel());
  }

  function submitLabel() {
    if (sending) return "Placing the order…";
    if (basket.empty) return "Your basket is empty";
    return products.length > 0 ? `Order for ${money(basket.total(products))}` : "Place the order";
  }

  async function send(event) {
    event.preventDefault();
    if (sending || basket.empty) return;
    const order = {
      client: fields.client.input.value.trim(),
      email: fields.email.input.value.trim(),
      card: fields.card.input.value.replace(/\s/g, ""),
      items: basket.items,
    };
    memory.keepCustomer(order);
    sending = true;
    complain([]);
    fill(trouble);
    show();
    try {
      const key = await memory.submissionKey(order);
      const taken = await api.placeOrder(order, key);
      memory.submissionSettled();
      memory.rememberOrder({ id: taken.id, at: Date.now(), total_cents: basket.total(products), items: order.items });
      basket.clear();
      accepted(taken);
    } catch (problem) {
      refuse(problem);
    } finally {
      sending = false;
      show();
    }
  }

  /** Puts each fault at its field and returns those that belong to none. */
  function complain(faults) {
    const unplaced = showsAt(fields, faults);
    const lines = new Set(showLineFaults(unplaced));
    return unplaced.filter((fault) => !lines.has(fault));
  }

  function refuse(problem) {
    if (!(problem instanceof api.Problem)) throw problem;
    const unplaced = complain(problem.faults);
    const marked = problem.status === 400 || problem.status === 422;
    const wait = problem.retryAfter > 0 ? ` Try again in ${problem.retryAfter} s.` : "";
    const again = problem.unknown ? " You can safely press the button again: the order will not be placed twice." : "";
    fill(trouble, h("div", { class: "notice bad" }, icon("incident"), h("div", { class: "notice-text" },
      h("p", null, marked ? "Please check the marked fields." : asSentence(problem.message), wait, again),
      unplaced.length > 0 && h("ul", null, unplaced.map(({ field: at, detail }) => h("li", null, at ? `${at}: ${detail}` : detail))))));
    form.parentElement?.querySelector('[aria-invalid="true"]')?.focus();
  }

  /** Chooses a card, for links that lead here with one. */
  function chooseCard(number) {
    fields.card.input.value = grouped(number);
    fields.card.input.dispatchEvent(new Event("input"));
  }

  show();
  return { element: form, show, chooseCard };
}

function showsAt(fields, faults) {
  for (const known of Object.values(fields)) known.fault("");
  return faults.filter(({ field: name, detail }) => {
    const known = fields[name.replace(/^\//, "")];
    known?.fault(detail);
    return !known;
  });
}

function field(name, label, attributes) {
  const id = `field-${name}`;
  const note = h("p", { class: "fault", id: `${id}-fault`, hidden: true });
  const input = h("input", { id, name, "data-testid": id, required: true, "aria-describedby": `${id}-fault`, type: "text", ...attributes });
  input.addEventListener("input", () => fault(""));

  function fault(detail) {
    note.textContent = detail;
    note.hidden = detail === "";
    if (detail) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }

  return { input, fault, element: h("div", { class: "field" }, h("label", { for: id }, label), input, note) };
}

/** The documented test cards as one-click choices that fill the card field. */
function cardChoice(input) {
  const buttons = testCards.map(({ number, title, does }) => h("button", {
    type: "button", class: "testcard", "data-testid": `testcard-${number}`, "aria-pressed": "false",
    onclick: () => {
      input.value = grouped(number);
      input.dispatchEvent(new Event("input"));
    },
  }, h("b", null, title), h("span", { class: "mono" }, `… ${number.slice(-4)}`), h("span", { class: "testcard-does" }, does)));
  input.addEventListener("input", () => {
    if (input.selectionStart === input.value.length) input.value = grouped(input.value);
    const digits = input.value.replace(/\s/g, "");
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(testCards[i].number === digits)));
  });
  return h("div", { class: "testcards", role: "group", "aria-label": "Test cards" }, buttons);
}
