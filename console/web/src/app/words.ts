// How things are said: states, kinds of events, times and durations. One thing is called the same on every page.
import type { Event, Step } from "../api/schema";

/** Tone is the colour family of something. It is never alone: a word and a shape go with it. */
export type Tone = "active" | "good" | "back" | "gone" | "bad" | "idle";

export interface Look {
  word: string;
  icon: string;
  tone: Tone;
}

const sagaLooks: Record<string, Look> = {
  running: { word: "Running", icon: "running", tone: "active" },
  compensating: { word: "Compensating", icon: "undoing", tone: "back" },
  completed: { word: "Completed", icon: "done", tone: "good" },
  compensated: { word: "Compensated", icon: "undone", tone: "gone" },
};

const stepLooks: Record<string, Look> = {
  waiting: { word: "Not asked yet", icon: "waiting", tone: "idle" },
  running: { word: "Running", icon: "running", tone: "active" },
  retrying: { word: "Retrying", icon: "retrying", tone: "active" },
  done: { word: "Done", icon: "done", tone: "good" },
  refused: { word: "Refused", icon: "refused", tone: "bad" },
  failed: { word: "Failed, effect unknown", icon: "failed", tone: "bad" },
  skipped: { word: "Skipped", icon: "skipped", tone: "idle" },
  undoing: { word: "Undoing", icon: "undoing", tone: "back" },
  undo_retrying: { word: "Undoing, retrying", icon: "retrying", tone: "back" },
  undone: { word: "Undone", icon: "undone", tone: "gone" },
  left: { word: "Left as it is", icon: "left", tone: "gone" },
};

const unknown = (state: string): Look => ({ word: state, icon: "waiting", tone: "idle" });
export const sagaLook = (state: string): Look => sagaLooks[state] ?? unknown(state);
export const stepLook = (state: string): Look => stepLooks[state] ?? unknown(state);

/** What a kind of operation promises. */
export const kinds: Record<string, string> = {
  compensatable: "can be undone",
  pivot: "the point of no return",
  retriable: "succeeds in the end",
  readonly: "nothing to undo",
};

/** What a participant's level promises. */
export const levels: Record<string, string> = {
  L0: "no promise: a repeated call may take effect twice",
  L1: "the sidecar remembers answers: twice only after a crash at the wrong moment",
  L2: "exactly one effect: the participant keeps a barrier in its own transaction",
};

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** A duration in milliseconds with its two largest units, such as 1 h 20 min. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  const n = Math.max(0, ms);
  if (n < 1) return "< 1 ms";
  if (n < second) return `${Math.round(n)} ms`;
  if (n < 10 * second) return `${(n / second).toFixed(1)} s`;
  if (n < minute) return `${Math.round(n / second)} s`;
  if (n < hour) return two(n, minute, "min", second, "s");
  if (n < day) return two(n, hour, "h", minute, "min");
  return two(n, day, "d", hour, "h");
}

/** since is a duration behind a "+". */
export const since = (ms: number): string => (ms < 1 ? "0 ms" : duration(ms));

function two(n: number, large: number, largeName: string, small: number, smallName: string): string {
  const a = Math.floor(n / large);
  const b = Math.floor((n % large) / small);
  return b === 0 ? `${a} ${largeName}` : `${a} ${largeName} ${b} ${smallName}`;
}

/** between is the duration from one time of the API to another, or to now. */
export const between = (from: string, to: string | number | undefined): number => (typeof to === "number" ? to : to ? Date.parse(to) : Date.now()) - Date.parse(from);

/** A time as a clock shows it here: today only the hours. */
export function clockTime(time: string | number): string {
  const at = new Date(time);
  const hours = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date().toDateString() ? hours : `${dayOf(at)}, ${hours}`;
}

function dayOf(at: Date): string {
  return at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: at.getFullYear() === new Date().getFullYear() ? undefined : "numeric" });
}

/** count writes a whole number with separators. */
export const count = (n: number): string => n.toLocaleString("en-GB");

/** many says how many of something there are. */
export const many = (n: number, one: string, more = `${one}s`): string => `${count(n)} ${n === 1 ? one : more}`;

const kindsOfEvents: Record<string, string> = {
  saga_started: "Saga started",
  saga_recovered: "Went on after a restart",
  cancel_requested: "Cancel requested",
  deadline_expired: "Deadline passed",
  saga_compensating: "Turned back",
  saga_completed: "Saga completed",
  saga_compensated: "Saga compensated",
  step_asked: "Asked",
  step_retrying: "No clear answer; asked again",
  step_done: "Done",
  step_refused: "Refused",
  step_failed: "Given up, effect unknown",
  step_skipped: "Skipped",
  step_answered_late: "Answered after it was decided",
  compensation_asked: "Asked to undo",
  compensation_retrying: "Undo had no clear answer; asked again",
  compensation_done: "Undone",
  incident_opened: "Needs help",
  incident_resolved: "Decided",
  incident_closed: "Mended by itself",
};

const verbs: Record<string, string> = { retry: "retry", replace: "retry with another input", skip: "skip", done: "done by hand", seen: "seen" };

/** eventWord says what an event means. */
export function eventWord(e: Event): string {
  if (e.kind === "incident_resolved" && e.verb) return `Decided: ${verbs[e.verb] ?? e.verb}`;
  if (e.verb === "done") return e.kind === "compensation_done" ? "Undone by hand" : "Done by hand";
  if (e.verb === "skip") return e.kind === "compensation_done" ? "Undo given up: what exists stays" : "Given up by hand";
  return kindsOfEvents[e.kind] ?? e.kind.replaceAll("_", " ");
}

/** eventTone is the colour family of an event. */
export function eventTone(e: Event): Tone {
  switch (e.kind) {
    case "saga_completed":
    case "step_done":
    case "incident_closed":
      return "good";
    case "step_refused":
    case "step_failed":
    case "incident_opened":
    case "deadline_expired":
      return "bad";
    case "saga_compensating":
    case "cancel_requested":
    case "compensation_asked":
    case "compensation_retrying":
      return "back";
    case "saga_compensated":
    case "compensation_done":
      return "gone";
    case "step_asked":
    case "step_retrying":
    case "saga_started":
      return "active";
    default:
      return "idle";
  }
}

/** took says how long a step's action took, or has taken. */
export function took(step: Step, now: number): string {
  return step.asked ? duration(between(step.asked, step.settled ?? now)) : "–";
}

/** short is the beginning of a version, which tells versions apart for a person. */
export const short = (version: string): string => version.slice(0, 8);
