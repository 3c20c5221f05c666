// Views that somebody keeps under a name in this browser. What a view is stands in its address, so a colleague gets it by the link.
import { remember, remembered } from "../app/store";

export interface Saved {
  name: string;
  query: string;
}

export function savedViews(): Saved[] {
  try {
    const all: unknown = JSON.parse(remembered("views") || "[]");
    return Array.isArray(all) ? all.filter((x): x is Saved => typeof x?.name === "string" && typeof x?.query === "string") : [];
  } catch {
    return [];
  }
}

export function keepViews(all: Saved[]): void {
  remember("views", all.length === 0 ? "" : JSON.stringify(all));
}
