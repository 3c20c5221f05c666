// The drones on the map: where each is, which way it flies, and a smooth way there from where it was last seen.
import { distance, parse } from "./geometry.js";
import { s } from "./svg.js";
import { droneWords } from "./words.js";

const settle = 130; // milliseconds in which two thirds of a distance are covered

const atHome = 60; // metres from a depot

/** The layer. `show(fleet)` says what is known; `view.craft` is metres per pixel. Drones that stand at a depot are counted there and not drawn. */
export function droneLayer(plane, view, depots, onSelect) {
  const element = s("g", { class: "drones" });
  const drones = new Map();
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let selected = "";
  let last = 0;
  let frame = 0;

  function show(fleet) {
    const standing = depots.map(() => 0);
    for (const drone of fleet) {
      const at = parse(drone.at);
      if (!at) continue;
      const known = drones.get(drone.id) ?? add(drone, plane.place(at));
      known.goal = { ...plane.place(at), heading: drone.heading ?? 0 };
      known.delivery = drone.delivery ?? "";
      const home = drone.state === "idle" ? depots.findIndex(({ place: there }) => distance(there, known.goal) < atHome) : -1;
      if (home >= 0) standing[home] += 1;
      known.node.setAttribute("data-home", String(home >= 0));
      known.node.setAttribute("data-state", drone.state);
      known.node.setAttribute("data-selected", String(known.delivery !== "" && known.delivery === selected));
      known.title.textContent = `${drone.name}: ${droneWords[drone.state] ?? drone.state}, battery ${Math.round((drone.battery ?? 0) * 100)} %`;
      if (drone.state !== "idle") element.append(known.node); // over those that stand
    }
    depots.forEach((depot, i) => depot.show(standing[i]));
    for (const [id, { node }] of drones) {
      if (fleet.some((drone) => drone.id === id)) continue;
      node.remove();
      drones.delete(id);
    }
    if (frame === 0) {
      last = performance.now();
      frame = requestAnimationFrame(move);
    }
  }

  function add({ id, name }, { x, y }) {
    const title = s("title");
    const rotors = [[-6, -6], [6, -6], [-6, 6], [6, 6]].map(([cx, cy]) => s("circle", { class: "rotor", cx, cy, r: 4 }));
    const body = s("g", { class: "craft" }, s("path", { class: "arms", d: "M-6 -6 6 6M6 -6-6 6" }), rotors, s("path", { class: "nose", d: "M0 -7.5 3.4 1.5h-6.8z" }), s("rect", { class: "parcel", x: -3.2, y: -2.2, width: 6.4, height: 6.4, rx: 1 }));
    const node = s("g", { class: "drone", "data-drone": id, "data-testid": `drone-${id}`, onclick: (event) => choose(event, id) },
      s("circle", { class: "halo", r: 17 }), body, s("text", { class: "drone-name", y: -16, "text-anchor": "middle" }, name), title);
    const drone = { node, body, title, x, y, heading: 0, goal: { x, y, heading: 0 }, delivery: "" };
    drones.set(id, drone);
    element.append(node);
    return drone;
  }

  function choose(event, id) {
    const { delivery } = drones.get(id);
    if (!delivery) return; // the map's click stands
    event.stopPropagation();
    onSelect(delivery);
  }

  /** One picture: every drone a part of its way. It rests when all are where they should be. */
  function move(now) {
    const part = still.matches ? 1 : 1 - Math.exp((last - now) / settle);
    last = now;
    let busy = false;
    for (const drone of drones.values()) {
      const { goal } = drone;
      const turn = ((goal.heading - drone.heading + 540) % 360) - 180;
      const far = Math.hypot(goal.x - drone.x, goal.y - drone.y) > 0.5 || Math.abs(turn) > 0.5;
      const share = far ? part : 1;
      drone.x += (goal.x - drone.x) * share;
      drone.y += (goal.y - drone.y) * share;
      drone.heading += turn * share;
      busy = busy || (far && share < 1);
      place(drone);
    }
    frame = busy ? requestAnimationFrame(move) : 0;
  }

  function place({ node, body, x, y, heading }) {
    node.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${view.craft})`);
    body.setAttribute("transform", `rotate(${heading.toFixed(1)})`);
  }

  function select(delivery) {
    selected = delivery;
    for (const drone of drones.values()) drone.node.setAttribute("data-selected", String(drone.delivery !== "" && drone.delivery === selected));
  }

  return { element, show, select, measure: () => drones.forEach(place) };
}
