// The products on the shelf: picture, name, price, stock, and a button to add one.
import { fill, h, icon } from "./dom.js";
import { money } from "./format.js";
import { pictureOf } from "./pictures.js";

/**
 * The shelf. `show(products)` draws or refreshes, `loading()` and `failed(problem, retry)` show the states before;
 * `refresh()` updates what is said about the basket.
 */
export function catalogue(basket) {
  const shelf = h("ul", { class: "shelf", "aria-busy": "true" });
  let cards = [];

  function loading() {
    shelf.setAttribute("aria-busy", "true");
    fill(shelf, Array.from({ length: 6 }, () => h("li", { class: "product ghost", "aria-hidden": "true" },
      h("div", { class: "picture" }), h("div", { class: "ghost-line" }), h("div", { class: "ghost-line short" }))));
    cards = [];
  }

  function show(products) {
    shelf.setAttribute("aria-busy", "false");
    if (products.length === 0) {
      fill(shelf, h("li", null, h("div", { class: "notice" }, h("p", { class: "notice-text" }, "The shelves are empty: the product service knows no products."))));
      return;
    }
    const kept = new Map(cards.map((card) => [card.sku, card]));
    cards = products.map((product) => kept.get(product.sku) ?? productCard(product, basket));
    cards.forEach((card, i) => card.show(products[i]));
    if (cards.some((card, i) => shelf.children[i] !== card.element) || shelf.children.length !== cards.length) {
      fill(shelf, cards.map((card) => card.element));
    }
  }

  function failed(problem, retry) {
    shelf.setAttribute("aria-busy", "false");
    cards = [];
    fill(shelf, h("li", null, h("div", { class: "notice bad", role: "alert", "data-testid": "products-error" }, icon("offline"),
      h("p", { class: "notice-text" }, h("b", null, "The products cannot be shown. "), problem.message),
      h("button", { type: "button", class: "button", onclick: retry }, "Try again"))));
  }

  return { element: shelf, loading, show, failed, refresh: () => cards.forEach((card) => card.refresh()) };
}

function productCard(first, basket) {
  const { sku } = first;
  const name = h("h2", null);
  const about = h("p", { class: "product-about" });
  const price = h("p", { class: "product-price" });
  const stock = h("p", { class: "product-stock" });
  const held = h("span", { class: "product-held" });
  const add = h("button", {
    type: "button", class: "button", "data-testid": `product-${sku}-add`, onclick: () => basket.add(sku),
  });
  const element = h("li", { class: "product card", "data-testid": `product-${sku}` },
    h("div", { class: "picture" }, h("img", { src: pictureOf(first), alt: "", width: 400, height: 300, loading: "lazy" })),
    h("div", { class: "product-text" }, name, about, h("div", { class: "product-facts" }, price, stock)),
    h("div", { class: "product-buy" }, add, held));
  let product = first;

  function show(next) {
    product = next;
    name.textContent = product.name;
    about.textContent = product.description ?? "";
    about.hidden = !product.description;
    price.textContent = money(product.price_cents);
    stock.textContent = stockWords(product.stock);
    element.dataset.stock = product.stock <= 0 ? "none" : product.stock <= 3 ? "low" : "plenty";
    add.disabled = product.stock <= 0;
    fill(add, product.stock <= 0 ? "Out of stock" : [icon("plus"), "Add"], h("span", { class: "visually-hidden" }, ` ${product.name}`));
    refresh();
  }

  function refresh() {
    const n = basket.quantityOf(sku);
    held.textContent = n > 0 ? `${n} in basket` : "";
  }

  return { sku, element, show, refresh };
}

function stockWords(stock) {
  if (stock <= 0) return "none left";
  return stock <= 3 ? `only ${stock} left` : `${stock} in stock`;
}
