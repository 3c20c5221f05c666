// What a stranger hears: the events that arrived at the demo outsider, which the publisher does not know.
import { fill, h, say } from "../../shop/assets/js/dom.js";
import { shortId, timeOfDay } from "../../shop/assets/js/format.js";
import * as api from "./api.js";

const most = 40; // events shown

/** The panel in `element`; `onSelect(delivery)` leads to one. `refresh()` asks anew. */
export function outsiderPanel(element, { onSelect }) {
  const count = h("span", { class: "quiet small", "data-testid": "outsider-count" });
  const note = h("p", { class: "quiet empty" }, "Asking the outsider…");
  const body = h("tbody", { "data-testid": "outsider-events" });
  const table = h("table", { class: "events", hidden: true }, h("thead", null, h("tr", null, ["Arrived", "Event", "Delivery"].map((head) => h("th", { scope: "col" }, head)))), body);
  let print = "";
  fill(element, h("div", { class: "panel-head" }, h("h2", { id: "outsider-title" }, "An outsider listens"), count),
    h("p", { class: "quiet small lead" }, "A server that subscribed by HTTP gets CloudEvents, signed and tried again. The services do not know that it exists."), note,
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Events at the outsider" }, table));

  function show(said) {
    const events = said.events ?? [];
    table.hidden = events.length === 0;
    note.hidden = events.length > 0;
    say(note, said.subscribed ? "Subscribed. Nothing has happened yet." : "It has not subscribed yet.");
    say(count, [`${said.received} received`, said.duplicates > 0 && `${said.duplicates} came twice`, said.refused > 0 && `${said.refused} refused`].filter(Boolean).join(", "));
    const now = JSON.stringify(events.slice(0, most));
    if (print === now) return;
    print = now;
    fill(body, events.slice(0, most).map((event) => h("tr", null, h("td", { class: "mono" }, timeOfDay(event.received)), h("td", null, h("code", null, event.type)),
      h("td", null, event.subject && h("button", { type: "button", class: "link", onclick: () => onSelect(event.subject) }, shortId(event.subject))))));
  }

  return {
    async refresh() {
      try {
        show(await api.outsider() ?? {});
      } catch (problem) {
        note.hidden = false;
        say(note, `The outsider does not answer: ${problem.whole}`);
      }
    },
  };
}
