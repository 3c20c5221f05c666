// Recent orders, as this browser remembers them.
import { fill, h, icon } from "./dom.js";
import { count, dayAndTime, money, shortId } from "./format.js";
import * as api from "./api.js";
import * as memory from "./memory.js";

const outcomeWords = {
  completed: ["done", "confirmed"],
  compensated: ["undone", "cancelled"],
  compensating: ["undoing", "going back"],
  running: ["running", "under way"],
  stuck: ["incident", "needs help"],
};

/** The list; `open(id)` leads to an order, `current` is left out of the links. */
export function recentOrders({ open, current = null }) {
  const list = h("ul", { class: "recent-list" });
  const element = h("section", { class: "recent", "aria-labelledby": "recent-title", "data-testid": "recent-orders" },
    h("h2", { id: "recent-title" }, "Your recent orders"), list);

  function show() {
    const orders = memory.recentOrders();
    element.hidden = orders.length === 0;
    fill(list, orders.map((order) => row(order, order.id === current, open)));
  }

  /** Asks which of them need help, and remembers it. */
  async function ask() {
    const open = memory.recentOrders().filter(({ outcome }) => outcome === "running" || outcome === "compensating");
    if (open.length === 0) return;
    const stuck = await api.stuckOrders().catch(() => null); // without an answer, what is remembered stands
    if (!stuck) return;
    const ids = new Set(stuck.commandes.map(({ id }) => id));
    for (const order of open) memory.rememberOrder({ id: order.id, stuck: ids.has(order.id) });
    show();
  }

  show();
  ask();
  return { element, show };
}

function row(order, isCurrent, open) {
  const ended = order.outcome === "completed" || order.outcome === "compensated";
  const [sign, word] = outcomeWords[order.stuck && !ended ? "stuck" : order.outcome] ?? outcomeWords.running;
  const articles = (order.items ?? []).reduce((sum, item) => sum + item.quantity, 0);
  const follow = (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    open(order.id);
  };
  return h("li", null, h("a", {
    class: "recent-order", href: `/shop/orders/${encodeURIComponent(order.id)}`, onclick: follow, "aria-current": isCurrent && "page",
  },
  h("span", { class: `recent-sign sign-${sign}` }, icon(sign)),
  h("span", { class: "recent-main" },
    h("b", null, `Order ${shortId(order.id)}`),
    h("span", { class: "quiet small" }, [order.at && dayAndTime(order.at), articles > 0 && count(articles, "article")].filter(Boolean).join(", "))),
  h("span", { class: "recent-end" },
    h("span", { class: "recent-total" }, order.total_cents ? money(order.total_cents) : ""),
    h("span", { class: "small quiet" }, word))));
}
