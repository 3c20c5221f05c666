// Recent orders, as this browser remembers them.
import { fill, h, icon } from "./dom.js";
import { count, dayAndTime, money, shortId } from "./format.js";
import * as memory from "./memory.js";

const outcomeWords = {
  completed: ["done", "confirmed"],
  compensated: ["undone", "cancelled"],
  compensating: ["undoing", "going back"],
  running: ["running", "under way"],
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

  show();
  return { element, show };
}

function row(order, isCurrent, open) {
  const [sign, word] = outcomeWords[order.outcome] ?? outcomeWords.running;
  const articles = (order.items ?? []).reduce((sum, item) => sum + item.quantity, 0);
  const follow = (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    open(order.id);
  };
  return h("li", null, h("a", {
    class: "recent-order", href: `/shop/orders/${encodeURIComponent(order.id)}`, onclick: follow, "aria-current": isCurrent && "page",
  },
  h("span", { class: `recent-sign ${sign}` }, icon(sign)),
  h("span", { class: "recent-main" },
    h("b", null, `Order ${shortId(order.id)}`),
    h("span", { class: "quiet small" }, [order.at && dayAndTime(order.at), articles > 0 && count(articles, "article")].filter(Boolean).join(", "))),
  h("span", { class: "recent-end" },
    h("span", { class: "recent-total" }, order.total_cents ? money(order.total_cents) : ""),
    h("span", { class: "small quiet" }, word))));
}
