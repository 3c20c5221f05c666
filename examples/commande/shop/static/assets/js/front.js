// The front page: fills in what runs where.
import { fill, h } from "./dom.js";
import * as api from "./api.js";

const services = document.getElementById("services");

// The folder is the same for all and printed by the program; the file tells them apart.
const fileName = (path) => (path ?? "").split("/").pop();

function table(list) {
  const row = (service) => h("tr", null,
    h("td", null, service.name),
    h("td", { class: "mono" }, service.address ?? "in this process"),
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
    relink("mailbox", system.mailbox);
    relink("metrics", system.metrics);
  } catch (problem) {
    fill(services, h("div", { class: "notice warn" },
      h("p", { class: "notice-text" }, h("b", null, "What runs here is not known. "), problem.message),
      h("button", { type: "button", class: "button slim", onclick: show }, "Ask again")));
  } finally {
    services.setAttribute("aria-busy", "false");
  }
}

show();
