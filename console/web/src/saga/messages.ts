// Who told whom what, from the journal. In a choreographed saga nobody keeps this: it is read from what each participant recorded, and the definition's edges say who had waited for it.
import type { Definition, DefinitionStep, Event, Saga } from "../api/schema";

export interface Message {
  seq: number;
  time: string;
  from: string;
  to: string;
  text: string;
  /** there: the way there; back: the way back; no: a refusal or a failure; note: something that one of them knows by itself. */
  what: "there" | "back" | "no" | "note";
}

export const client = "Client";
export const coordinator = "Skald";

/** The participant of a step: that of the definition, or the part of its operation's name before the dot. */
function participant(definition: Definition | undefined, step: string): string {
  return definition?.steps.find((s) => s.name === step)?.participant ?? step.split(".")[0] ?? step;
}

/** messages reads a journal. */
export function messages(saga: Saga, events: Event[], definition: Definition | undefined): Message[] {
  const known = new Map<string, string>();
  return events.flatMap((e) => {
    if (e.step) known.set(e.step, e.kind);
    return (saga.mode === "choreographed" ? heard(e, definition, known) : called(e, definition)).map((m) => ({ ...m, seq: e.seq, time: e.time }));
  });
}

type Told = Omit<Message, "seq" | "time">;

/** What the saga as a whole says, in either mode. */
function whole(e: Event, middle: string): Told[] {
  switch (e.kind) {
    case "cancel_requested":
      return [{ from: e.by ?? client, to: middle, text: "cancel", what: "no" }];
    case "saga_compensating":
      return [{ from: middle, to: middle, text: `turns back: ${e.reason ?? ""}`, what: "no" }];
    case "saga_completed":
      return [{ from: middle, to: client, text: "completed", what: "there" }];
    case "saga_compensated":
      return [{ from: middle, to: client, text: "compensated", what: "back" }];
    case "saga_recovered":
      return [{ from: middle, to: middle, text: "goes on after a restart", what: "note" }];
    default:
      return [];
  }
}

/** called: a coordinator calls, and is answered. */
function called(e: Event, definition: Definition | undefined): Told[] {
  const step = definition?.steps.find((s) => s.name === e.step);
  const whom = participant(definition, e.step ?? "");
  switch (e.kind) {
    case "saga_started":
      return [{ from: client, to: coordinator, text: `start ${e.definition ?? ""}`, what: "there" }];
    case "step_asked":
      return [{ from: coordinator, to: whom, text: step?.action ?? e.step ?? "", what: "there" }];
    case "compensation_asked":
      return [{ from: coordinator, to: whom, text: step?.compensation ?? `undo ${e.step ?? ""}`, what: "back" }];
    case "step_retrying":
    case "compensation_retrying":
      return [{ from: whom, to: coordinator, text: `no clear answer: ${e.reason ?? ""}`, what: "no" }];
    case "step_done":
      return [{ from: e.by ?? whom, to: coordinator, text: step?.events.success ?? "done", what: "there" }];
    case "step_refused":
    case "step_failed":
      return [{ from: whom, to: coordinator, text: e.reason ?? step?.events.failure ?? "no", what: "no" }];
    case "compensation_done":
      return [{ from: e.by ?? whom, to: coordinator, text: step?.events.undone ?? "undone", what: "back" }];
    case "incident_opened":
      return [{ from: coordinator, to: coordinator, text: `needs help: ${e.reason ?? ""}`, what: "no" }];
    case "incident_resolved":
      return [{ from: e.by ?? "Operator", to: coordinator, text: `${e.verb ?? ""} ${e.step ?? ""}`, what: "note" }];
    default:
      return whole(e, coordinator);
  }
}

/** clear is what a step tells those before it, so that they undo their own: by what happened to it last. */
function clear(step: DefinitionStep, last: string | undefined): string {
  switch (last) {
    case "compensation_done":
      return step.events.undone ?? `${step.name} is undone`;
    case "step_refused":
    case "step_failed":
      return step.events.failure ?? `${step.name} is refused`;
    default:
      return `${step.name} is clear`;
  }
}

/** heard: each participant hears what those before it did, and acts. known is the last that happened to each step so far. */
function heard(e: Event, definition: Definition | undefined, known: Map<string, string>): Told[] {
  const steps = definition?.steps ?? [];
  const step = steps.find((s) => s.name === e.step);
  const whom = participant(definition, e.step ?? "");
  const event = (name: string) => steps.find((s) => s.name === name);
  switch (e.kind) {
    case "saga_started":
      return steps.filter((s) => s.after.length === 0).map((s) => ({ from: client, to: s.participant, text: `start ${e.definition ?? ""}`, what: "there" }));
    case "step_asked":
      return (step?.after ?? []).map((name) => ({ from: participant(definition, name), to: whom, text: event(name)?.events.success ?? `${name} done`, what: "there" }));
    case "step_done":
      return [{ from: whom, to: whom, text: `${e.step ?? ""} done`, what: "note" }];
    case "step_refused":
    case "step_failed":
      return [{ from: whom, to: whom, text: `${e.step ?? ""}: ${e.reason ?? "no"}`, what: "no" }];
    case "step_retrying":
    case "compensation_retrying":
      return [{ from: whom, to: whom, text: `tries again: ${e.reason ?? ""}`, what: "no" }];
    case "compensation_asked": {
      const after = steps.filter((s) => s.after.includes(e.step ?? ""));
      if (after.length === 0) return [{ from: whom, to: whom, text: `undoes ${e.step ?? ""}`, what: "back" }];
      return after.map((s) => ({ from: s.participant, to: whom, text: clear(s, known.get(s.name)), what: "back" }));
    }
    case "compensation_done":
      return [{ from: whom, to: whom, text: `${e.step ?? ""} undone`, what: "back" }];
    case "incident_opened":
      return [{ from: whom, to: whom, text: `needs help: ${e.reason ?? ""}`, what: "no" }];
    case "incident_resolved":
      return [{ from: e.by ?? "Operator", to: whom, text: `${e.verb ?? ""} ${e.step ?? ""}`, what: "note" }];
    case "saga_completed":
    case "saga_compensated": {
      const last = steps.filter((s) => !steps.some((other) => other.after.includes(s.name)))[0]?.participant ?? client;
      return whole(e, last).filter((m) => m.from !== m.to);
    }
    case "cancel_requested":
      return whole(e, steps[0]?.participant ?? client);
    default:
      return [];
  }
}
