// What the list of sagas shows, as the address has it.
import type { Filter } from "../api/schema";

/** The choices of which sagas, by how far they are. */
export const shows = ["open", "stuck", "running", "compensating", "completed", "compensated", "all"] as const;
export type Show = (typeof shows)[number];

/** Ages in seconds, by their names in the address. "old-" means started longer ago than that, "new-" since then. */
const ages: Record<string, number> = { "5m": 300, "1h": 3600, "1d": 86_400, "7d": 604_800 };

export const ageChoices: [value: string, says: string][] = [
  ["", "Any age"],
  ["new-5m", "Began in the last 5 min"],
  ["new-1h", "Began in the last hour"],
  ["new-1d", "Began in the last day"],
  ["old-5m", "Older than 5 min"],
  ["old-1h", "Older than an hour"],
  ["old-1d", "Older than a day"],
  ["old-7d", "Older than a week"],
];

/** View is what somebody chose to see. */
export interface View {
  show: Show;
  id: string;
  key: string;
  definition: string;
  version: string;
  mode: string;
  step: string;
  reason: string;
  /** Reason code of the oldest open incident. */
  incident_reason: string;
  age: string;
  order: "newest" | "oldest";
}

const texts = ["id", "key", "definition", "version", "mode", "step", "reason", "incident_reason", "age"] as const;

/** viewOf reads a view from an address. What it does not know it overlooks. */
export function viewOf(query: URLSearchParams): View {
  const show = query.get("show") as Show;
  const view: View = { show: shows.includes(show) ? show : "all", id: "", key: "", definition: "", version: "", mode: "", step: "", reason: "", incident_reason: "", age: "", order: "newest" };
  for (const name of texts) view[name] = query.get(name) ?? "";
  if (query.get("order") === "oldest") view.order = "oldest";
  if (!ageChoices.some(([value]) => value === view.age)) view.age = "";
  return view;
}

/** queryOf is the way back. What is as usual is left out. */
export function queryOf(view: View): Record<string, string> {
  const query: Record<string, string> = {};
  if (view.show !== "all") query["show"] = view.show;
  for (const name of texts) if (view[name]) query[name] = view[name];
  if (view.order === "oldest") query["order"] = "oldest";
  return query;
}

/** narrowed says whether a view leaves anything out. */
export const narrowed = (view: View): boolean => Object.keys(queryOf({ ...view, order: "newest" })).length > 0;

/** filterOf is the view as the API selects, with ages counted from a moment: pages of one list must be asked for with the same times. */
export function filterOf(view: View, now: number): Filter {
  const filter: Filter = {};
  for (const name of ["id", "key", "definition", "version", "step", "reason", "incident_reason"] as const) if (view[name]) filter[name] = view[name];
  if (view.mode === "orchestrated" || view.mode === "choreographed") filter.mode = view.mode;
  switch (view.show) {
    case "all":
      break;
    case "open":
      filter.unended = true;
      break;
    case "stuck":
      filter.incident = true;
      break;
    default:
      filter.states = [view.show];
  }
  const [side, age = ""] = view.age.split("-");
  const seconds = ages[age];
  if (seconds !== undefined) {
    const at = new Date(Math.floor(now / 1000) * 1000 - seconds * 1000).toISOString();
    if (side === "old") filter.started_before = at;
    else filter.started_after = at;
  }
  return filter;
}
