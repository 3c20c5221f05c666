// The fleet below the map: each drone with what it does and its battery.
import { fill, h, say } from "../../shop/assets/js/dom.js";
import { droneWords } from "./words.js";

/** The list in `element`; `onSelect(delivery)` comes when a drone that flies for one is chosen. */
export function fleetList(element, { onSelect }) {
  const cells = new Map();
  const list = h("ul", { class: "fleet-list", "aria-label": "Fleet" });
  const summary = h("p", { class: "quiet small fleet-summary" }, "Asking for the fleet…");
  fill(element, summary, list);

  function cell({ id, name, capacity_kg: capacity }) {
    const state = h("span", { class: "craft-state" });
    const charge = h("progress", { class: "battery", max: "1", value: "0", "aria-label": `Battery of ${name}` });
    const button = h("button", { type: "button", class: "craft-cell", "data-testid": `fleet-${id}`, onclick: () => cells.get(id).delivery && onSelect(cells.get(id).delivery) },
      h("span", { class: "craft-name" }, h("b", null, name), h("span", { class: "quiet" }, `${capacity} kg`)), state, charge);
    const item = h("li", null, button);
    list.append(item);
    return { item, button, state, charge, delivery: "" };
  }

  return {
    show(fleet) {
      for (const drone of fleet) {
        if (!cells.has(drone.id)) cells.set(drone.id, cell(drone));
        const known = cells.get(drone.id);
        known.delivery = drone.delivery ?? "";
        known.button.dataset.state = drone.state;
        known.button.setAttribute("aria-disabled", String(known.delivery === ""));
        say(known.state, droneWords[drone.state] ?? drone.state);
        known.charge.value = drone.battery ?? 0;
        known.charge.classList.toggle("low", (drone.battery ?? 0) < 0.25);
      }
      for (const [id, { item }] of cells) {
        if (fleet.some((drone) => drone.id === id)) continue;
        item.remove();
        cells.delete(id);
      }
      const busy = fleet.filter(({ state }) => state !== "idle").length;
      say(summary, fleet.length === 0 ? "There are no drones." : `${fleet.length} drones, ${busy === 0 ? "all idle" : `${busy} under way`}.`);
    },
  };
}
