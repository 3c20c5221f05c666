// The saga of one delivery drawn: two legs that join, the point of no return, the end in parallel.
import { fill, h, icon, say } from "../../shop/assets/js/dom.js";
import { reasonInWords, stateWords, steps as known } from "./words.js";

/** The drawing. `show(steps)` brings it up to date in place. */
export function diagram() {
  const cells = new Map(known.map((step) => [step.name, cell(step)]));
  const element = h("ol", { class: "diagram", "data-testid": "diagram" }, [...cells.values()].map(({ element: node }) => node));

  function show(steps) {
    const states = new Map((steps ?? []).map((step) => [step.name, step]));
    for (const [name, { show: draw }] of cells) draw(states.get(name) ?? { state: "waiting" });
  }

  return { element, show };
}

function cell({ name, title, does, undo, pivot, place }) {
  const node = h("span", { class: "node" }, icon("waiting"));
  const line = h("span", { class: "step-line" });
  const element = h("li", { class: `cell cell-${place}`, "data-testid": `step-${name}`, "data-state": "waiting" }, node,
    h("div", { class: "cell-text" }, h("b", null, title), line, pivot && h("span", { class: "gate-note" }, "no way back from here")));
  let drawn = "waiting";

  function show({ state, reason, attempt, level }) {
    const now = Object.hasOwn(stateWords, state) ? state : "waiting";
    element.dataset.state = now;
    if (drawn !== now) fill(node, icon(now));
    drawn = now;
    say(line, words(now, attempt));
    element.title = [reason && reasonInWords(reason), level === "L1" && "Takes part through a sidecar (L1)."].filter(Boolean).join(" ");
  }

  function words(state, attempt) {
    if (state === "done") return does;
    if (state === "undone" && undo) return undo;
    if (state === "retrying" && attempt > 1) return `attempt ${attempt}`;
    return stateWords[state].toLowerCase();
  }

  say(line, "\u00a0"); // how far it is nobody has said yet
  return { element, show };
}
