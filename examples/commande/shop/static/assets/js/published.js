// The events the services published, with their times.
import { fill, h } from "./dom.js";
import { timeOfDay } from "./format.js";

/**
 * The list. `add(event)` takes one event of the stream; `show(names)` takes the names the order itself lists, so that an
 * order opened after its end is complete even where the stream no longer tells times.
 */
export function publishedEvents() {
  const body = h("tbody");
  const empty = h("p", { class: "quiet" }, "Nothing has been published yet.");
  const table = h("table", { class: "published", "data-testid": "published-events", hidden: true },
    h("caption", { class: "visually-hidden" }, "Events published by the services"),
    h("thead", null, h("tr", null, ["Time", "Event", "Service"].map((head) => h("th", { scope: "col" }, head)))),
    body);
  const element = h("section", { class: "card panel", "aria-labelledby": "published-title" },
    h("h2", { id: "published-title" }, "Published events"), empty, table);
  const timed = [];
  let names = [];

  function draw() {
    const rows = [...timed, ...untimed(names, timed)];
    empty.hidden = rows.length > 0;
    table.hidden = rows.length === 0;
    fill(body, rows.map((event) => h("tr", { "data-event": event.name },
      h("td", { class: "mono" }, event.time ? h("time", { datetime: event.time }, timeOfDay(event.time)) : "–"),
      h("td", null, h("code", null, parts(event.name))),
      h("td", null, event.source ?? ""))));
  }

  function add(event) {
    timed.push(event);
    timed.sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
    draw();
  }

  function show(all) {
    if (all.length === names.length && all.every((name, i) => name === names[i])) return;
    names = [...all];
    draw();
  }

  /** Milliseconds from the first event to the last, 0 if unknown. */
  const span = () => (timed.length < 2 ? 0 : Date.parse(timed.at(-1).time) - Date.parse(timed[0].time));

  return { element, add, show, span };
}

/** A name that may break before its capitals, never inside a word. */
const parts = (name) => name.split(/(?=[A-Z])/).flatMap((part, i) => (i === 0 ? [part] : [h("wbr"), part]));

/** The names for which no event with a time came, each as often as it is missing. */
function untimed(names, timed) {
  const left = timed.map((event) => event.name);
  return names.filter((name) => {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  }).map((name) => ({ name }));
}
