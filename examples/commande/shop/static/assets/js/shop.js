// The shop's document: the shelf and the till, or one order, by address.
import { fill, h } from "./dom.js";
import { count, money } from "./format.js";
import * as api from "./api.js";
import * as words from "./words.js";
import { Basket, basketView } from "./basket.js";
import { catalogue } from "./catalogue.js";
import { mailNote } from "./mail.js";
import { checkout } from "./checkout.js";
import { modeChooser } from "./mode.js";
import { orderView } from "./order.js";
import { recentOrders } from "./recent.js";
import { switchPanel } from "./switches.js";

const main = document.getElementById("main");
const basket = new Basket();
const refreshEvery = 15000; // milliseconds between looks at stock and switches while the page is in view
let view = null;

/** The shelf, the basket and the till. `card` is a test card and `item` an article for an empty basket, both chosen by a link. */
function shopView(card, item) {
  const shelf = catalogue(basket);
  const lines = basketView(basket);
  const till = checkout({ basket, showLineFaults: lines.showFaults, accepted: (order) => go(order.id, order) });
  const recent = recentOrders({ open: (id) => go(id) });
  const mode = modeChooser();
  // On a phone the till is below the shelf: a link leads there until it is in view.
  const jump = h("a", { class: "jump button primary", href: "#checkout", hidden: true });
  const controller = new AbortController();
  const sight = new IntersectionObserver(([till]) => jump.classList.toggle("away", till.isIntersecting));
  let products = [];

  const element = h("div", { class: "shop" },
    h("section", { class: "goods", "aria-labelledby": "goods-title" },
      h("h1", { id: "goods-title", tabindex: "-1" }, "Goods for long evenings"),
      h("p", { class: "quiet goods-lead" }, "Every order here is a saga over five services. Buy something, or make it fail, and watch."),
      mode.element,
      shelf.element),
    h("aside", { class: "till card", "aria-label": "Basket and payment" }, lines.element, till.element),
    recent.element, jump);

  function refresh() {
    lines.show(products);
    till.show(products);
    shelf.refresh();
    jump.hidden = basket.empty;
    jump.textContent = `Basket: ${count(basket.articles, "article")}, ${money(basket.total(products))}`;
  }

  async function load(first) {
    if (first) shelf.loading();
    try {
      products = await api.products(controller.signal) ?? [];
      shelf.show(products);
      refresh();
    } catch (problem) {
      if (controller.signal.aborted) return;
      if (products.length === 0) shelf.failed(problem, () => load(true));
    }
  }

  basket.addEventListener("change", refresh, { signal: controller.signal });
  const timer = setInterval(() => {
    if (document.hidden) return;
    load(false);
    mode.refresh();
  }, refreshEvery);
  refresh();
  load(true);
  sight.observe(till.element);
  if (card) till.chooseCard(card);
  if (item && basket.empty) basket.add(item);
  return { element, title: "Shop", stop: () => { clearInterval(timer); sight.disconnect(); mode.stop(); controller.abort(); } };
}

/** Leads to an order without leaving the document. */
function go(id, first = null) {
  history.pushState(null, "", `/shop/orders/${encodeURIComponent(id)}`);
  route(first);
  main.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function buyAgain(items) {
  if (items.length > 0) basket.replace(items);
  history.pushState(null, "", "/shop/");
  route();
  main.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** Shows what the address says. */
function route(first = null) {
  view?.stop();
  const asked = new URLSearchParams(location.search);
  const id = /^\/shop\/orders\/([^/]+)$/.exec(location.pathname)?.[1];
  view = id
    ? orderView({ id: decodeURIComponent(id), first, open: (other) => go(other), buyAgain })
    : shopView(asked.get("card"), asked.get("item"));
  document.title = `${view.title} · Skald`;
  const link = document.querySelector('[data-nav="shop"]');
  if (id) link.removeAttribute("aria-current");
  else link.setAttribute("aria-current", "page");
  fill(main, view.element);
}

const panel = switchPanel({
  dialog: document.getElementById("switches"),
  button: document.getElementById("switches-open"),
  badge: document.getElementById("switches-count"),
  watch: "the saga does",
  api,
  words,
});

mailNote(document.getElementById("mail-note"));
addEventListener("popstate", () => route());
addEventListener("hashchange", () => location.hash === "#switches" && panel.open());
setInterval(() => document.hidden || panel.refresh(), refreshEvery);
route();
if (location.hash === "#switches") panel.open();
else if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
