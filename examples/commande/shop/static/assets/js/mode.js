// Who drives new orders: a choice of two, with what it means.
import { fill, h, say } from "./dom.js";
import * as api from "./api.js";
import { modeTitles, modeWords } from "./words.js";

/** The chooser. `refresh()` asks again; `stop()` gives up what is being asked. */
export function modeChooser() {
  const controller = new AbortController();
  const status = h("p", { class: "small quiet mode-status", role: "status" });
  const choices = h("div", { class: "mode-choices" });
  const element = h("fieldset", { class: "mode-chooser card", "data-testid": "mode-chooser", hidden: true },
    h("legend", { class: "visually-hidden" }, "Mode of new orders"), h("p", { class: "quiet small", "aria-hidden": "true" }, "New orders are"), choices, status);
  let rows = [];

  function draw(modes) {
    rows = Object.keys(modeTitles).map((value) => {
      const input = h("input", { type: "radio", name: "mode", value, "data-testid": `mode-${value}`, onchange: () => choose(value) });
      const words = h("span", { class: "mode-words" }, modeWords[value]);
      return { value, input, element: h("label", { class: "mode-choice" }, input, h("span", null, h("b", null, modeTitles[value]), words)) };
    });
    fill(choices, rows.map((row) => row.element));
    for (const { value, input } of rows) input.disabled = !modes.includes(value);
  }

  async function refresh() {
    try {
      const { mode, modes } = await api.mode(controller.signal);
      if (rows.length === 0) draw(modes);
      for (const { value, input } of rows) input.checked = value === mode;
      element.hidden = false;
    } catch { /* the shelf says that the shop does not answer */ }
  }

  async function choose(value) {
    try {
      await api.setMode(value);
      say(status, `From now on, new orders are ${value}.`);
    } catch (problem) {
      say(status, `Not changed: ${problem.message}`);
    }
    refresh();
  }

  refresh();
  return { element, refresh, stop: () => controller.abort() };
}
