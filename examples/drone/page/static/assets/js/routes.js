// The ways on the map: from pickup to drop-off for each delivery under way, that of the selected one with its pins, and that of the request being written.
import { fill } from "../../shop/assets/js/dom.js";
import { parse, straight } from "./geometry.js";
import { s } from "./svg.js";

const ended = new Set(["completed", "compensated"]);

/** The layer. `show(deliveries)`, `select(id)` and `draft({pickup, dropoff})` say what is to be seen. */
export function routeLayer(plane, view) {
  const element = s("g", { class: "routes" });
  let deliveries = [];
  let selected = "";
  let written = {};

  const spot = (text) => {
    const at = parse(text);
    return at && plane.place(at);
  };

  function pin(place, letter, kind) {
    return place && s("g", { class: `pin pin-${kind}`, transform: `translate(${place.x} ${place.y}) scale(${view.unit})` },
      s("path", { d: "M0 0C-3 -6 -9 -9 -9 -16a9 9 0 1 1 18 0C9 -9 3 -6 0 0z" }), s("text", { y: -15.5, "text-anchor": "middle", "dominant-baseline": "central" }, letter));
  }

  function route({ pickup, dropoff }, kind) {
    const [from, to] = [spot(pickup), spot(dropoff)];
    return [from && to && s("path", { class: `route route-${kind}`, d: straight([from, to]) }), kind !== "quiet" && pin(from, "A", kind), kind !== "quiet" && pin(to, "B", kind)];
  }

  function draw() {
    const current = deliveries.find(({ id }) => id === selected);
    const others = deliveries.filter(({ id, outcome }) => id !== selected && !ended.has(outcome));
    fill(element, others.flatMap((delivery) => route(delivery, "quiet")), !current && route(written, "draft"), current && route(current, ended.has(current.outcome) ? "past" : "current"));
  }

  /** Where the way begins and ends that is shown with its pins. */
  function ends() {
    const { pickup, dropoff } = deliveries.find(({ id }) => id === selected) ?? written;
    return [spot(pickup), spot(dropoff)].filter(Boolean);
  }

  return {
    element,
    ends,
    measure: draw,
    show: (list) => { deliveries = list; draw(); },
    select: (id) => { selected = id; draw(); },
    draft: (request) => { written = request; draw(); },
  };
}
