// The deliveries, newest first, each with its two legs drawn small.
import { fill, h, say } from "../../shop/assets/js/dom.js";
import { shortId } from "../../shop/assets/js/format.js";
import { s } from "./svg.js";
import { reasonInWords, stageWords } from "./words.js";

/** The list in `element`; `onSelect(id)` comes when one is chosen. */
export function deliveryList(element, { onSelect }) {
  const rows = new Map();
  const items = h("ol", { class: "deliveries", "aria-busy": "true" });
  const count = h("span", { class: "quiet small" });
  const empty = h("p", { class: "quiet empty" }, "Asking for deliveries…");
  let selected = "";
  fill(element, h("div", { class: "panel-head" }, h("h2", { id: "list-title" }, "Deliveries"), count), empty, items);

  function row(id) {
    const legs = h("span", { class: "legs" });
    const stage = h("b");
    const more = h("span", { class: "quiet small" });
    const link = h("a", { href: `#${encodeURIComponent(id)}`, "data-testid": `delivery-${id}`, onclick: (event) => choose(event, id) }, legs, h("span", { class: "row-text" }, stage, more));
    return { item: h("li", null, link), link, legs, stage, more, drawn: "" };
  }

  function choose(event, id) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    onSelect(id);
  }

  function show(deliveries) {
    for (const delivery of deliveries) {
      if (!rows.has(delivery.id)) rows.set(delivery.id, row(delivery.id));
      const known = rows.get(delivery.id);
      known.link.dataset.outcome = delivery.outcome;
      const states = legStates(delivery);
      if (known.drawn !== states.join()) fill(known.legs, smallLegs(states));
      known.drawn = states.join();
      say(known.stage, stageOf(delivery));
      say(known.more, delivery.reason && delivery.outcome !== "completed" ? reasonInWords(delivery.reason) : `${shortId(delivery.id)}${delivery.droneId ? ` · ${delivery.droneId}` : ""}`);
    }
    const now = new Set(deliveries.map(({ id }) => id));
    for (const id of rows.keys()) if (!now.has(id)) rows.delete(id);
    const wanted = deliveries.map(({ id }) => rows.get(id).item);
    if (wanted.length !== items.children.length || wanted.some((item, i) => items.children[i] !== item)) fill(items, wanted);
    items.setAttribute("aria-busy", "false");
    empty.hidden = deliveries.length > 0;
    say(empty, "Nothing has been requested yet. Send an ordinary parcel to begin.");
    const open = deliveries.filter(({ outcome }) => outcome !== "completed" && outcome !== "compensated").length;
    say(count, deliveries.length === 0 ? "" : `${open} under way`);
    mark();
  }

  function mark() {
    for (const [id, { link }] of rows) {
      if (id === selected) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  return { show, select: (id) => { selected = id; mark(); } };
}

/** How a delivery stands, in two words. */
export function stageOf({ stage, outcome, reason, legs }) {
  if (outcome === "compensated") return /[.]cancelled$/i.test(reason ?? "") ? "Cancelled" : "Undone";
  if (outcome === "compensating") return "Going back";
  if (stage === "Created" && legs && legs.delivery !== "done") return legs.drone === "waiting" ? "Waiting for a drone" : "Waiting for its legs";
  return stageWords[stage] ?? "Requested";
}

/** The states of package, drone, delivery, shipped and delivered. */
export function legStates({ legs = {}, stage }) {
  const shipped = stage === "HeadedToDropoff" || stage === "Completed";
  return [legs.package ?? "waiting", legs.drone ?? "waiting", legs.delivery ?? "waiting", shipped ? "done" : "waiting", stage === "Completed" ? "done" : "waiting"];
}

function smallLegs([parcel, drone, delivery, shipped, delivered]) {
  const line = (d, state) => s("path", { d, "data-state": state });
  const dot = (cx, cy, state) => s("circle", { cx, cy, r: 4, "data-state": state });
  return s("svg", { viewBox: "0 0 84 30", width: 84, height: 30, "aria-hidden": "true" },
    line("M7 7C20 7 18 15 30 15", parcel), line("M7 23C20 23 18 15 30 15", drone), line("M30 15H53", shipped), line("M53 15H77", delivered),
    dot(7, 7, parcel), dot(7, 23, drone), dot(30, 15, delivery), s("rect", { x: 49, y: 11, width: 8, height: 8, rx: 1.5, transform: "rotate(45 53 15)", "data-state": shipped }), dot(77, 15, delivered));
}
