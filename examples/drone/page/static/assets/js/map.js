// The map: the city, what is where, and the drones that move over it.
import { fill, h } from "../../shop/assets/js/dom.js";
import { channels, parks, streets, water } from "./city.js";
import { droneLayer } from "./drones.js";
import { boxAround, fit, format, parse, projection, smooth, straight, within } from "./geometry.js";
import { routeLayer } from "./routes.js";
import { s } from "./svg.js";

/**
 * Draws the area into `element`. `onPick("lat,lon")` comes when a person chooses a place, `onSelect(delivery)` when they choose a drone that flies for one.
 * Markers keep their size in pixels however large the map is.
 */
export function cityMap(element, area, { onPick, onSelect }) {
  const plane = projection(parse(area.center));
  const spot = (text) => plane.place(parse(text));
  const inPlane = (points) => points.map(([lat, lon]) => plane.place({ lat, lon }));
  const markers = [];
  const view = { unit: 10, craft: 10 }; // metres per pixel, for markers and for drones

  /** A group that stays where it is and as large as it is. */
  function marker(place, props, ...children) {
    const node = s("g", props, children);
    markers.push({ node, place });
    return node;
  }

  const ground = s("g", { class: "ground" },
    parks.map(([lat, lon, width, height, turn]) => {
      const { x, y } = plane.place({ lat, lon });
      return s("rect", { class: "park", x: -width / 2, y: -height / 2, width, height, rx: Math.min(width, height) * 0.32, transform: `translate(${x} ${y}) rotate(${turn})` });
    }),
    water.map((points) => s("path", { class: "water", d: smooth(inPlane(points), true) })),
    channels.map(([width, points]) => s("path", { class: "channel", d: smooth(inPlane(points)), "stroke-width": width })),
    streets.map(([rank, points]) => s("path", { class: `street street-${rank}`, d: smooth(inPlane(points)) })));
  const [southWest, northEast] = area.bounds.map(spot);
  const border = s("path", { class: "border", d: `${straight([southWest, { x: southWest.x, y: northEast.y }, northEast, { x: northEast.x, y: southWest.y }])}Z` });
  const zones = s("g", { class: "zones" }, (area.noFly ?? []).flatMap(({ at, radius_m: radius }) => {
    const { x, y } = spot(at);
    return [s("circle", { class: "zone", cx: x, cy: y, r: radius }), s("circle", { class: "zone-hatch", cx: x, cy: y, r: radius })];
  }));
  const pick = (text) => (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    onPick(text);
  };
  const depots = (area.depots ?? []).map(({ at, name }) => {
    const [number, title] = [s("text", { "text-anchor": "middle", "dominant-baseline": "central", y: 0.5 }), s("title", null, `Depot ${name}`)];
    const node = marker(spot(at), { class: "depot", "data-testid": `depot-${name}` }, s("rect", { x: -10, y: -10, width: 20, height: 20, rx: 6 }), number, title);
    return { node, place: spot(at), show: (idle) => { number.textContent = String(idle); title.textContent = `Depot ${name}: ${idle} idle`; } };
  });
  const places = s("g", { class: "places" },
    (area.places ?? []).map(({ name, at }) => marker(spot(at), { class: "place", tabindex: "0", role: "button", "aria-label": `${name}: choose this place`, onclick: pick(at), onkeydown: pick(at) },
      s("circle", { class: "target", r: 12 }), s("circle", { class: "dot", r: 3.5 }), s("title", null, name))),
    depots.map(({ node }) => node));
  const named = [...(area.depots ?? []).map((depot) => ({ ...depot, kind: "depot" })), ...(area.noFly ?? []).map((zone) => ({ ...zone, kind: "zone" })), ...(area.places ?? []).map((place) => ({ ...place, kind: "place" }))];
  const labels = s("g", { class: "labels", "aria-hidden": "true" });
  const routes = routeLayer(plane, view);
  const drones = droneLayer(plane, view, depots, onSelect);

  const svg = s("svg", { class: "city", role: "group", "aria-label": "Map of the city. Choose a place to send from or to.", preserveAspectRatio: "xMidYMid slice", "data-testid": "city" },
    s("defs", null, s("pattern", { id: "hatch", width: 120, height: 120, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, s("rect", { class: "hatch", width: 34, height: 120 }))),
    ground, border, zones, routes.element, places, labels, drones.element);

  const near = boxAround([...named.map(({ at }) => spot(at))], 0.07);
  const whole = boxAround([southWest, northEast], 0.03);
  let box = near;
  let asked = null; // the box that a person asked for; until then it is the one that shows the selected delivery
  const toggle = h("button", { type: "button", class: "button slim map-zoom", "aria-pressed": "false", "data-testid": "map-whole", onclick: () => {
    asked = box === near ? whole : near;
    frame();
  } }, "Whole area");

  function frame() {
    const next = asked ?? (routes.ends().some((place) => !within(near, place)) ? whole : near);
    if (next === box) return;
    box = next;
    toggle.setAttribute("aria-pressed", String(box === whole));
    measure();
  }

  svg.addEventListener("click", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    onPick(format(plane.degrees(at)));
  });

  /** Fits the drawing to the window and keeps markers and labels as large as they are. */
  function measure() {
    const { width, height } = element.getBoundingClientRect();
    if (width === 0 || height === 0) return;
    const shown = fit(box, width / height);
    svg.setAttribute("viewBox", `${shown.left} ${shown.top} ${shown.width} ${shown.height}`);
    view.unit = shown.width / width;
    view.craft = view.unit * (width < 500 ? 0.75 : 1);
    for (const { node, place } of markers) node.setAttribute("transform", `translate(${place.x} ${place.y}) scale(${view.unit})`);
    fill(labels, layLabels(named.map((thing) => ({ ...thing, place: spot(thing.at) })), shown, view.unit));
    routes.measure();
    drones.measure();
  }

  fill(element, svg, toggle);
  new ResizeObserver(measure).observe(element);
  measure();
  return {
    showFleet: drones.show,
    showDeliveries: (list) => { routes.show(list); frame(); },
    showDraft: (request) => { routes.draft(request); frame(); },
    select: (delivery) => { asked = null; routes.select(delivery); drones.select(delivery); frame(); },
  };
}

/** Puts each name beside its marker where it covers no other, the important ones first; where there is no room, the marker's title has it. */
function layLabels(things, shown, unit) {
  const taken = things.map(({ place, kind }) => ({ left: place.x - (kind === "zone" ? 0 : 9 * unit), top: place.y - (kind === "zone" ? 0 : 9 * unit), width: kind === "zone" ? 0 : 18 * unit, height: kind === "zone" ? 0 : 18 * unit }));
  const overlaps = (a, b) => a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
  const inside = (a) => a.left > shown.left && a.left + a.width < shown.left + shown.width && a.top > shown.top && a.top + a.height < shown.top + shown.height;
  const nodes = [];
  for (const [i, { name, place, kind }] of things.entries()) {
    const [width, height] = [(name.length * (kind === "depot" ? 7.4 : 6.6) + 4) * unit, 15 * unit];
    const gap = (kind === "depot" ? 14 : 11) * unit;
    const tries = kind === "zone"
      ? [[place.x - width / 2, place.y - height / 2]]
      : [[place.x + gap, place.y - height / 2], [place.x - gap - width, place.y - height / 2], [place.x - width / 2, place.y + gap], [place.x - width / 2, place.y - gap - height]];
    const free = tries.map(([left, top]) => ({ left, top, width, height })).find((spot) => inside(spot) && !taken.some((other, j) => j !== i && overlaps(spot, other)));
    if (!free) continue;
    taken.push(free);
    nodes.push(s("g", { transform: `translate(${free.left + width / 2} ${free.top + height / 2}) scale(${unit})`, class: `label label-${kind}` },
      s("text", { "text-anchor": "middle", "dominant-baseline": "central" }, name)));
  }
  return nodes;
}
