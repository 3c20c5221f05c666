// What an operator can do about a step, by the same rules as the engine, which decides in the end. A verb that does not fit is shown with the reason, not hidden: at night one looks for it.
import type { Definition, Event, Incident, Saga, Step } from "../api/schema";
import type { Verb } from "../api/skald";

export interface Offer {
  verb: Verb;
  name: string;
  /** What it does, for the confirmation. */
  does: string;
  /** Why it does not fit; empty if it does. */
  not: string;
}

/** passed is the step behind which there is no turning back, once it was asked. */
export function passed(saga: Saga): Step | undefined {
  return saga.steps.find((step) => step.kind === "pivot" && step.state !== "waiting" && step.state !== "skipped" && step.state !== "refused");
}

/** cannotCancel says why a saga cannot be turned back, or nothing. */
export function cannotCancel(saga: Saga): string {
  if (saga.ended) return "It has ended.";
  if (saga.state === "compensating") return "It turns back already.";
  const pivot = passed(saga);
  return pivot ? `It has passed its point of no return, ${pivot.name}.` : "";
}

/** readers are the steps that need a step's result. */
export const readers = (definition: Definition | undefined, step: string): string[] => definition?.steps.filter((s) => s.reads.includes(step)).map((s) => s.name) ?? [];

const names: Record<Verb, string> = { retry: "Retry now", replace: "Retry with another input", skip: "Skip", done: "Done by hand", seen: "Seen" };

/** contradiction is the reason code of an incident about what is decided already: nothing waits for it, and it may be there after the end. */
export const contradiction = "skald.contradiction";

/** closes says whether an entry of the journal closes incidents such as this one: of its step, and of its sort. */
export const closes = (e: Event, i: Incident): boolean =>
  (e.kind === "incident_closed" || e.kind === "incident_resolved") && (e.step ?? "") === (i.step ?? "") && (e.verb === "seen") === (i.reason === contradiction);

/** offers are the verbs for an incident, of a step or, with an empty name, of the saga as a whole. */
export function offers(saga: Saga, definition: Definition | undefined, name: string, reason: string): Offer[] {
  if (reason === contradiction) return [{ verb: "seen", name: names.seen, does: `States that you looked at ${name}, and put right by hand what was wrong, if anything was. Nobody is asked anything, and the saga stays as it is.`, not: "" }];
  if (name === "") return [{ verb: "retry", name: names.retry, does: "The saga is looked at again at once.", not: "" }];
  const step = saga.steps.find((s) => s.name === name);
  const isBack = saga.state === "compensating";
  return (["retry", "replace", "skip", "done"] as Verb[]).map((verb) => ({ verb, name: names[verb], does: does(verb, name, isBack), not: isBack ? "" : unfit(verb, step, readers(definition, name)) }));
}

function does(verb: Verb, step: string, isBack: boolean): string {
  const what = isBack ? `the undoing of ${step}` : step;
  switch (verb) {
    case "retry":
      return `Asks for ${what} again at once, with the same input. Nothing happens twice at a participant that keeps a barrier (L2).`;
    case "replace":
      return `Asks for ${what} again at once, with the input below instead. The old input stays in the journal.`;
    case "skip":
      return isBack ? `Gives up undoing ${step}: what exists of its effect stays, for ever, and the saga ends as compensated.` : `Gives ${step} up: it is not asked any more, and the saga goes on without it.`;
    case "done":
      return isBack ? `States that ${step} was undone by hand. Nobody is asked any more.` : `States that ${step} was done by hand. Nobody is asked any more, and the saga goes on.`;
    case "seen":
      return "";
  }
}

function unfit(verb: Verb, step: Step | undefined, readBy: string[]): string {
  if (verb === "retry" || step === undefined) return "";
  switch (step.kind) {
    case "compensatable":
    case "readonly":
      return "The step ends by itself: retry it, or cancel the saga.";
    case "pivot":
      return verb === "done" ? "" : "At the point of no return only Retry and Done by hand fit.";
    default:
      return verb === "skip" && readBy.length > 0 ? `${readBy.join(", ")} reads its result: use Done by hand, and give the result.` : "";
  }
}

const advice: Record<string, string> = {
  "skald.retries_exhausted": "Every attempt had no clear answer. Look whether the participant is up and what it logs; when it is well again, retry.",
  "skald.deadline": "It is too late for the deadline, and too late to turn back. Retry when the cause is gone, or finish it by hand.",
  "skald.unknown_result": "The participant cannot safely be asked again (level L0). Look in its own data whether the work was done: if it was, choose Done by hand, if not, Retry.",
  "skald.no_progress": "It has been tried for long. It goes on trying by itself; look at the participant, and retry at once when it is well.",
  "skald.mapping": "The step's input could not be made from what came before. The definition's mapping is at fault: mend it and restart, then retry.",
  "skald.definition_missing": "No program has registered this saga's definition and version. Start one that has, then retry.",
  "skald.compensated": "The step's compensation came before it. It is refused for good; the saga turns back by itself.",
  "skald.conflict": "The same call came with another input than before: somebody changed a mapping without a new revision, or used an id twice. Compare the inputs before anything else.",
  "skald.contradiction": "The saga goes by the first answer, and nothing changes that. Look in the participant's own data what there really is, put right by hand what is wrong, and find out why it answered twice: its data was lost or restored, it has no barrier, or two of them share its name. Then choose Seen.",
  "skald.forgotten": "The participant no longer knows what it is to undo. Look in its data whether the effect exists, undo it by hand, then choose Done by hand.",
  "skald.malformed": "The participant's answer cannot be read. Look at its version and its log.",
};

/** whatToTry says what to try first, by a reason code. */
export function whatToTry(reason: string, offered: Offer[]): string {
  const known = advice[reason];
  if (known) return known;
  const fits = offered.filter((o) => o.not === "").map((o) => o.name);
  return `The participant itself says no, with its own reason code. Remove the cause there, then retry.${fits.length > 1 ? ` If that is impossible: ${fits.slice(1).join(", ")}.` : ""}`;
}
