// The front page: fills in what runs where.
import { fill, h, icon } from "./dom.js";
import { shortId } from "./format.js";
import * as api from "./api.js";
import { sayMail } from "./mail.js";

const services = document.getElementById("services");
const stuck = document.getElementById("stuck");

// The folder is the same for all and printed by the program; the files tell them apart.
const fileName = (path) => (path ?? "").split("/").pop(); // "…/orchestrator.db, events.db" has one folder

function table(list) {
  const row = (service) => h("tr", null,
    h("td", null, service.name),
    h("td", { class: "mono" }, service.address || "in this process"),
    h("td", { class: "mono", title: service.database || null }, fileName(service.database) || "none"),
    h("td", null, service.metrics && h("a", { href: service.metrics, "aria-label": `Metrics of ${service.name}` }, "metrics")));
  return h("table", null,
    h("caption", { class: "visually-hidden" }, "The services of the order system"),
    h("thead", null, h("tr", null, ["Service", "Address", "Database", "Watch"].map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", null, list.map(row)));
}

function relink(kind, href) {
  if (!href) return;
  for (const link of document.querySelectorAll(`[data-link="${kind}"]`)) link.setAttribute("href", href);
}

async function show() {
  services.setAttribute("aria-busy", "true");
  try {
    const system = await api.system();
    fill(services, table(system.services ?? []));
    document.getElementById("mode").textContent = system.mode ?? "";
    relink("mailbox", system.mailbox);
    relink("metrics", system.metrics);
    sayMail(document.getElementById("mail-note"), system.smtp);
  } catch (problem) {
    fill(services, h("div", { class: "notice warn" },
      h("p", { class: "notice-text" }, h("b", null, "What runs here is not known. "), problem.message),
      h("button", { type: "button", class: "button slim", onclick: show }, "Ask again")));
  } finally {
    services.setAttribute("aria-busy", "false");
  }
}

/** Links to the orders that wait for a decision, if there are any. */
async function showStuck() {
  const page = await api.stuckOrders().catch(() => null); // the table above says that nothing answers
  const orders = page?.commandes ?? [];
  if (orders.length === 0) return fill(stuck);
  const number = page.next ? `More than ${orders.length} orders need` : orders.length === 1 ? "1 order needs" : `${orders.length} orders need`;
  return fill(stuck, h("div", { class: "notice warn", "data-testid": "stuck-orders" }, icon("incident"),
    h("p", { class: "notice-text" }, h("b", null, `${number} help: `),
      orders.slice(0, 5).flatMap(({ id }, i) => [i > 0 && ", ", h("a", { href: `/shop/orders/${encodeURIComponent(id)}` }, shortId(id))]),
      orders.length > 5 && ", …")));
}

show();
showStuck();
setInterval(() => document.hidden || showStuck(), 15000);
