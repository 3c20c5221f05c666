// The basket: what is in it, what it costs, and its view. Quantities above the stock are allowed, with a warning:
// the service that keeps the stock decides, not the page.
import { fill, freshId, h, icon } from "./dom.js";
import { count, money } from "./format.js";
import * as memory from "./memory.js";

const most = 99;

/** The basket's content. Fires "change" when it changes; it is kept in the browser. */
export class Basket extends EventTarget {
  #lines = memory.basket();

  /** [{sku, quantity}] in the order they were added. */
  get items() {
    return Object.entries(this.#lines).map(([sku, quantity]) => ({ sku, quantity }));
  }

  get empty() {
    return this.items.length === 0;
  }

  /** How many articles in all. */
  get articles() {
    return this.items.reduce((sum, line) => sum + line.quantity, 0);
  }

  quantityOf(sku) {
    return this.#lines[sku] ?? 0;
  }

  /** Sets a quantity; 0 takes the line out. */
  set(sku, quantity) {
    const n = Math.max(0, Math.min(most, Math.trunc(quantity) || 0));
    if (n === 0) delete this.#lines[sku];
    else this.#lines[sku] = n;
    this.#changed();
  }

  add(sku) {
    this.set(sku, this.quantityOf(sku) + 1);
  }

  /** Replaces the content, for an order that is to be tried again. */
  replace(items) {
    this.#lines = Object.fromEntries(items.map(({ sku, quantity }) => [sku, quantity]));
    this.#changed();
  }

  clear() {
    this.replace([]);
  }

  /** The total in cents for the given products; a product that is not sold counts nothing. */
  total(products) {
    return this.items.reduce((sum, { sku, quantity }) =>
      sum + quantity * (products.find((product) => product.sku === sku)?.price_cents ?? 0), 0);
  }

  #changed() {
    memory.keepBasket(this.#lines);
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * The basket's view: call `show(products)` after any change and `showFaults(faults)` with the server's complaints about
 * lines; it returns those it could place.
 */
export function basketView(basket) {
  const list = h("ul", { class: "lines" });
  const empty = h("p", { class: "basket-empty quiet" }, icon("bag"), "Your basket is empty. Add something to begin.");
  const total = h("output", { "data-testid": "basket-total" });
  const sum = h("p", { class: "sum" }, h("span", null, "Total"), total);
  const element = h("section", { class: "basket", "aria-labelledby": "basket-title" },
    h("h2", { id: "basket-title" }, "Basket"), empty, list, sum);
  let rows = [];

  function show(products) {
    const items = basket.items;
    const kept = new Map(rows.map((row) => [row.sku, row]));
    rows = items.map(({ sku }) => kept.get(sku) ?? line(basket, sku));
    for (const row of rows) row.show(products.find((product) => product.sku === row.sku), products.length > 0);
    if (rows.length !== list.children.length || rows.some((row, i) => list.children[i] !== row.element)) {
      fill(list, rows.map((row) => row.element));
    }
    empty.hidden = !basket.empty;
    list.hidden = basket.empty;
    total.textContent = products.length > 0 || basket.empty ? money(basket.total(products)) : "–";
    total.setAttribute("aria-label", `Total ${total.textContent} for ${count(basket.articles, "article")}`);
  }

  function showFaults(faults) {
    for (const row of rows) row.fault("");
    return faults.filter(({ field, detail }) => {
      const at = /^(?:\/)?items(?:\[|\.|\/)(\d+)/.exec(field);
      const row = at && rows[Number(at[1])];
      row?.fault(detail);
      return Boolean(row);
    });
  }

  return { element, show, showFaults };
}

/** One line of the basket. It survives redraws, so the keyboard's focus is not lost while a quantity changes. */
function line(basket, sku) {
  const id = freshId("line");
  const name = h("span", { class: "line-name", id: `${id}-name` });
  const price = h("span", { class: "line-price" });
  const note = h("p", { class: "line-note small", id: `${id}-note` });
  const quantity = h("input", {
    type: "text", inputmode: "numeric", class: "line-quantity", "data-testid": `line-${sku}-quantity`,
    "aria-labelledby": `${id}-word ${id}-name`, "aria-describedby": `${id}-note`,
    onchange: () => {
      basket.set(sku, Number(quantity.value));
      quantity.value = String(basket.quantityOf(sku) || "");
    },
  });
  const removed = h("span", { class: "visually-hidden" }, ` ${sku}`);
  const fewer = step("minus", "One fewer of ", -1);
  const more = step("plus", "One more of ", 1);

  function step(sign, word, by) {
    return h("button", {
      type: "button", class: "step-button", "data-testid": `line-${sku}-${sign}`,
      onclick: () => basket.set(sku, basket.quantityOf(sku) + by),
      "aria-labelledby": `${id}-${sign} ${id}-name`,
    }, icon(sign), h("span", { class: "visually-hidden", id: `${id}-${sign}` }, word));
  }

  const element = h("li", { class: "line" },
    h("span", { class: "visually-hidden", id: `${id}-word` }, "Quantity of"),
    name, price,
    h("div", { class: "stepper" }, fewer, quantity, more),
    h("button", { type: "button", class: "button plain slim", onclick: () => basket.set(sku, 0) },
      "Remove", removed),
    note);

  function show(product, known) {
    const n = basket.quantityOf(sku);
    name.textContent = product?.name ?? sku;
    removed.textContent = ` ${name.textContent}`;
    price.textContent = product ? money(product.price_cents * n) : "";
    if (document.activeElement !== quantity || Number(quantity.value) !== n) quantity.value = String(n);
    quantity.removeAttribute("aria-invalid");
    note.className = "line-note small";
    if (product && n > product.stock) note.textContent = `Only ${product.stock} in stock: the order will be refused and undone.`;
    else if (!product && known) note.textContent = "No longer sold here. Remove it to order.";
    else note.textContent = "";
  }

  function fault(detail) {
    if (!detail) return;
    note.className = "fault";
    note.textContent = detail;
    quantity.setAttribute("aria-invalid", "true");
  }

  return { sku, element, show, fault };
}
