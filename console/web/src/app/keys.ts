// Keys that work everywhere, as other tools of this kind have them. None works while somebody types, and none with Ctrl, Alt or Meta, which are the browser's.
import { go, link } from "./route.svelte";

/** What each key does, for the page that says so. */
export const shortcuts: [keys: string[], does: string][] = [
  [["/"], "Find a saga by its id or business key"],
  [["g", "o"], "Overview"],
  [["g", "i"], "Incidents"],
  [["g", "s"], "Sagas"],
  [["g", "l"], "Dead letters"],
  [["g", "d"], "Definitions"],
  [["g", "w"], "Webhooks"],
  [["g", "a"], "Audit"],
  [["j"], "Next in a list"],
  [["k"], "The one before in a list"],
  [["Enter"], "Open it"],
  [["?"], "These keys"],
];

const places: Record<string, string[]> = { o: [], i: ["incidents"], s: ["sagas"], l: ["dead-letters"], d: ["definitions"], w: ["webhooks"], a: ["audit"] };

/** typing says that a key belongs to a field or a dialog. */
export function typing(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.altKey || event.metaKey) return true;
  const at = event.target instanceof Element ? event.target : null;
  return at?.closest("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable], dialog") !== null && at !== null;
}

/** keys makes the handler of key presses; help shows what each does. */
export function keys(help: () => void): (event: KeyboardEvent) => void {
  let isGoing = false;
  return (event) => {
    if (typing(event)) return;
    const wasGoing = isGoing;
    isGoing = event.key === "g";
    if (event.key === "?") return help();
    if (event.key === "/") {
      event.preventDefault();
      document.querySelector<HTMLInputElement>("[data-find]")?.focus();
      return;
    }
    const place = wasGoing ? places[event.key] : undefined;
    if (place !== undefined) go(link(place));
  };
}
