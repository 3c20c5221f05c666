import { remember, remembered } from "./store";

export type Theme = "system" | "light" | "dark";

const wish = matchMedia("(prefers-color-scheme: dark)");
let chosen = $state<Theme>((remembered("theme") as Theme) || "system");
let systemDark = $state(wish.matches);
wish.addEventListener("change", () => (systemDark = wish.matches));

export const theme = {
  get chosen() {
    return chosen;
  },
  /** dark says what is shown now. Charts, which paint on canvas, need to know. */
  get dark() {
    return chosen === "dark" || (chosen === "system" && systemDark);
  },
  choose(next: Theme) {
    chosen = next;
    remember("theme", next === "system" ? "" : next);
    if (next === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = next;
  },
};
