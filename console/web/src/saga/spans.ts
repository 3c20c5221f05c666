// What a step did when, from the journal: the bars of the timeline.
import type { Event } from "../api/schema";
import { contradiction } from "./verbs";

export type Doing = "running" | "retrying" | "waiting" | "undoing" | "undo-retrying" | "undo-waiting";

export interface Span {
  doing: Doing;
  /** Milliseconds since 1970. */
  from: number;
  /** Undefined: it goes on. */
  to: number | undefined;
  /** The attempt that is made, or that is waited for. */
  attempt: number;
  /** Why it is waited, or how it ended. */
  note: string;
}

/** A moment that matters, or a time in which help was needed. */
export interface Mark {
  what: "help" | "decision" | "late";
  from: number;
  to: number | undefined;
  note: string;
}

export interface Row {
  step: string;
  spans: Span[];
  marks: Mark[];
}

/** rows makes a row for each step that the journal speaks of, in the given order and then in that of the journal. The row without a name is the saga as a whole. */
export function rows(events: Event[], order: string[]): Row[] {
  const all = new Map<string, Row>(order.map((step) => [step, { step, spans: [], marks: [] }]));
  const outcome = events.findIndex((e) => e.kind === "saga_completed" || e.kind === "saga_compensated");
  // What came after the outcome may have come a month later, and would leave no room for the saga itself.
  for (const e of outcome < 0 ? events : events.slice(0, outcome + 1)) {
    if (e.reason === contradiction || e.verb === "seen") continue; // nothing waits for it
    const step = e.step ?? "";
    let row = all.get(step);
    if (row === undefined) all.set(step, (row = { step, spans: [], marks: [] }));
    take(row, e);
  }
  const ended = events[outcome];
  if (ended) for (const row of all.values()) close(row, Date.parse(ended.time), "");
  return [...all.values()].filter((row) => row.step !== "" || row.marks.length > 0);
}

function take(row: Row, e: Event): void {
  const at = Date.parse(e.time);
  switch (e.kind) {
    case "step_asked":
      return begin(row, "running", at, e.attempt ?? 1);
    case "compensation_asked":
      return begin(row, "undoing", at, e.attempt ?? 1);
    case "step_retrying":
      return waits(row, "waiting", "retrying", at, e);
    case "compensation_retrying":
      return waits(row, "undo-waiting", "undo-retrying", at, e);
    case "step_done":
    case "step_refused":
    case "step_failed":
    case "step_skipped":
    case "compensation_done":
      return close(row, at, e.reason ?? "");
    case "step_answered_late":
      row.marks.push({ what: "late", from: at, to: at, note: e.reason ?? "" });
      return;
    case "incident_opened":
      row.marks.push({ what: "help", from: at, to: undefined, note: e.reason ?? "" });
      return;
    case "incident_closed":
      return mended(row, at);
    case "incident_resolved":
      mended(row, at);
      row.marks.push({ what: "decision", from: at, to: at, note: `${e.by ?? "somebody"}: ${e.verb ?? ""}` });
      if (e.verb === "retry" || e.verb === "replace") askedNow(row, at);
      return;
    case "cancel_requested":
    case "deadline_expired":
    case "saga_compensating":
      row.marks.push({ what: "decision", from: at, to: at, note: e.reason ?? e.kind });
  }
}

const last = (row: Row): Span | undefined => row.spans.at(-1);

function begin(row: Row, doing: Doing, from: number, attempt: number): void {
  close(row, from, "");
  row.spans.push({ doing, from, to: undefined, attempt, note: "" });
}

/** waits ends an attempt. If another one has its time already, it is a span to come. */
function waits(row: Row, waiting: Doing, retrying: Doing, at: number, e: Event): void {
  close(row, at, e.reason ?? "");
  const next = e.at === undefined ? undefined : Date.parse(e.at);
  const attempt = (e.attempt ?? 1) + 1;
  row.spans.push({ doing: waiting, from: at, to: next, attempt, note: e.reason ?? "" });
  if (next !== undefined) row.spans.push({ doing: retrying, from: next, to: undefined, attempt, note: "" });
}

/** close ends what goes on, and takes back an attempt that was to come later. */
function close(row: Row, at: number, note: string): void {
  const open = last(row);
  if (open === undefined || (open.to !== undefined && open.to <= at)) return;
  if (open.from > at) {
    row.spans.pop();
    return close(row, at, note);
  }
  open.to = at;
  if (note) open.note = note;
}

/** askedNow begins the attempt that was waited for. */
function askedNow(row: Row, at: number): void {
  const attempt = last(row)?.attempt ?? 1;
  const isBack = last(row)?.doing.startsWith("undo") ?? false;
  begin(row, isBack ? "undo-retrying" : "retrying", at, attempt);
}

function mended(row: Row, at: number): void {
  for (const mark of row.marks) if (mark.what === "help" && mark.to === undefined) mark.to = at;
}
