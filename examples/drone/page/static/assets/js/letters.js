// Dead letters: what was set aside, why, what becomes of it by itself, and what a person can do.
import { fill, h, icon, say } from "../../shop/assets/js/dom.js";
import { timeOfDay } from "../../shop/assets/js/format.js";
import * as api from "./api.js";
import { asSentence, reasonInWords, titleOf } from "./words.js";

const states = { waiting: "waits", remedied: "remedied", replayed: "replayed", discarded: "discarded" };
const remedies = { compensate: "The saga is compensated.", replay: "It is tried again.", go_on: "The saga goes on without it.", "go on": "The saga goes on without it." };

/** The panel in `element`; `onSelect(saga)` leads to a delivery. `refresh()` asks anew. */
export function deadLetterPanel(element, { onSelect }) {
  const count = h("span", { class: "quiet small" });
  const list = h("ul", { class: "letters", "data-testid": "letters", "aria-busy": "true" });
  const note = h("p", { class: "quiet empty" }, "Asking for dead letters…");
  const shown = new Map();
  fill(element, h("div", { class: "panel-head" }, h("h2", { id: "letters-title" }, "Dead letters"), count),
    h("p", { class: "quiet small lead" }, "What a service could not accept, with its reason. Each reason has a remedy that acts by itself; a person may decide, too."), note, list);

  async function refresh() {
    try {
      show(await api.deadLetters() ?? []);
    } catch (problem) {
      note.hidden = false;
      say(note, `Dead letters cannot be read: ${problem.whole}`);
    }
  }

  function show(letters) {
    list.setAttribute("aria-busy", "false");
    note.hidden = letters.length > 0;
    say(note, "None. Try a parcel that is too heavy.");
    const waiting = letters.filter(({ state }) => state === "waiting").length;
    say(count, letters.length === 0 ? "" : `${waiting} waiting, ${letters.length - waiting} settled`);
    for (const letter of letters) {
      const print = JSON.stringify(letter);
      const known = shown.get(letter.id);
      if (known?.print === print) continue;
      const node = row(letter);
      known?.node.replaceWith(node);
      shown.set(letter.id, { print, node });
    }
    const now = new Set(letters.map(({ id }) => id));
    for (const id of shown.keys()) if (!now.has(id)) shown.delete(id);
    const wanted = letters.map(({ id }) => shown.get(id).node);
    if (wanted.length !== list.children.length || wanted.some((node, i) => list.children[i] !== node)) fill(list, wanted);
  }

  function row(letter) {
    const meaning = letter.meaning ? asSentence(letter.meaning) : reasonInWords(letter.reason);
    const verbs = [letter.saga && h("button", { type: "button", class: "button slim plain", onclick: () => onSelect(letter.saga) }, "Show delivery"),
      letter.state === "waiting" && verb(letter, "replay", "Replay"), letter.state === "waiting" && verb(letter, "discard", "Discard")];
    return h("li", { class: "letter-row", "data-state": letter.state, "data-testid": `letter-${letter.reason}` },
      h("div", { class: "letter-head" }, h("code", { class: "reason" }, letter.reason), h("span", { class: "letter-state" }, states[letter.state] ?? letter.state)),
      h("p", null, meaning, letter.description && letter.description !== letter.meaning && h("span", { class: "quiet" }, ` ${asSentence(letter.description)}`)),
      h("p", { class: "small quiet" }, letter.remedy && h("b", null, `${remedies[letter.remedy] ?? asSentence(letter.remedy)} `), `${titleOf(letter.step ?? "")}, handed out ${letter.count} ${letter.count === 1 ? "time" : "times"}, ${timeOfDay(letter.at)}`,
        letter.note && ` · ${letter.note}`),
      h("div", { class: "letter-verbs" }, verbs));
  }

  /** A verb asks for the reason in place: it stays with the letter. */
  function verb(letter, name, title) {
    const open = h("button", { type: "button", class: "button slim", "data-testid": `letter-${name}`, onclick: () => {
      const input = h("input", { "aria-label": `Why ${name}?`, placeholder: "Why?", required: true, maxlength: "300" });
      const fault = h("p", { class: "fault", role: "alert", hidden: true });
      const form = h("form", { class: "verb-form", onsubmit: async (event) => {
        event.preventDefault();
        try {
          await api.settleLetter(letter.id, name, { by: "page", reason: input.value.trim() });
          await refresh();
        } catch (problem) {
          fault.hidden = false;
          say(fault, problem.whole);
        }
      } }, input, h("button", { type: "submit", class: "button slim primary" }, title), fault);
      open.replaceWith(form);
      input.focus();
    } }, icon(name === "replay" ? "retrying" : "close"), title);
    return open;
  }

  return { refresh };
}
