// The saga drawn: the way forward, the point of no return, two branches, and below it the way back.
import { fill, h, icon, say } from "./dom.js";
import { asSentence, reasonInWords, stateWords, steps as known, titleOf } from "./words.js";

/** The drawing. `show(order)` brings it up to date in place; nothing moves, so nothing is lost from view. */
export function flow() {
  const cells = new Map(known.map((step) => [step.name, stepCell(step)]));
  const extras = h("ul", { class: "branches extras", hidden: true });
  const main = known.filter((step) => !step.branch).map((step) => cells.get(step.name).element);
  const branches = known.filter((step) => step.branch).map((step) => cells.get(step.name).element);
  const track = h("ol", { class: "track", "data-outcome": "running" },
    main,
    h("li", { class: "fork" },
      h("p", { class: "fork-label" }, "in parallel"),
      h("ul", { class: "branches" }, branches), extras));
  const element = h("div", { class: "flow" }, track);

  function show(order) {
    track.dataset.outcome = order.outcome;
    for (const step of order.steps ?? []) {
      if (!cells.has(step.name)) {
        const cell = stepCell({ name: step.name, title: titleOf(step.name), branch: true });
        cells.set(step.name, cell);
        extras.append(cell.element);
        extras.hidden = false;
      }
      cells.get(step.name).show(step, order);
    }
  }

  return { element, show };
}

function stepCell({ name, title, undo, pivot, branch }) {
  const node = h("span", { class: "node" }, icon("waiting"));
  const state = h("b", { class: "step-state" }, stateWords.waiting);
  const more = h("span", { class: "step-more" });
  const back = h("span", { class: "undo-node" }, icon("back"));
  const backText = h("span", { class: "undo-text" }, undo ?? "");
  const element = h("li", {
    class: ["step", pivot && "pivot", branch && "branch", undo && "undoable"].filter(Boolean).join(" "),
    "data-testid": `step-${name}`, "data-state": "waiting",
  },
  pivot && h("p", { class: "gate" }, "point of no return"),
  node,
  h("div", { class: "step-text" }, h("h3", null, title), h("code", { class: "step-name" }, wordBreaks(name)),
    h("p", { class: "step-line" }, state, more)),
  !branch && h("div", { class: "undo", "data-undo": "idle" }, undo ? [back, backText] : h("span", { class: "undo-none" }, pivot ? "no way back from here on" : "nothing to undo")));
  let drawn = "waiting";
  let drawnBack = "back";

  function show(step, order) {
    const now = Object.hasOwn(stateWords, step.state) ? step.state : "waiting";
    element.dataset.state = now;
    if (drawn !== now) fill(node, icon(now));
    drawn = now;
    say(state, stateText(step, now, order));
    say(more, moreWords(step, now));
    showBack(undoState(now, order.outcome), now);
  }

  function showBack(position) {
    if (!undo) return;
    element.querySelector(".undo").dataset.undo = position;
    const sign = { doing: "undoing", done: "done", left: "left" }[position] ?? "back";
    if (drawnBack !== sign) fill(back, icon(sign));
    drawnBack = sign;
  }

  return { element, show };
}

/** The state in words; a person who ended a step is not passed over. */
function stateText({ by }, state, order) {
  if (by && (state === "done" || state === "undone")) return `${stateWords[state]} by hand`;
  return state === "skipped" && !by && order.outcome !== "completed" ? "Not reached" : stateWords[state];
}

/** Where the way back stands at a step: not needed, still to come, under way, done, or given up. */
function undoState(state, outcome) {
  if (state === "undoing") return "doing";
  if (state === "undone") return "done";
  if (state === "left") return "left";
  return outcome === "compensating" && (state === "done" || state === "failed") ? "next" : "idle";
}

function moreWords(step, state) {
  if (step.by) return asSentence(`${(step.reason ?? "").replace(/[.]$/, "")} (${step.by})`);
  const parts = [];
  const most = state !== "undoing" && step.max_tries ? ` of ${step.max_tries}` : "";
  if ((state === "retrying" || state === "running" || state === "undoing") && step.attempt > 1) parts.push(`Attempt ${step.attempt}${most}, no answer yet.`);
  if (step.reason && state !== "done" && state !== "undone") parts.push(reasonInWords(step.reason));
  return parts.join(" ");
}

/** Lets a dotted name break after its dot. */
function wordBreaks(name) {
  const [head, ...tail] = name.split(".");
  return tail.length === 0 ? [head] : [`${head}.`, h("wbr"), tail.join(".")];
}
