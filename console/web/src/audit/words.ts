// How lines of the audit log are said.
import type { Change } from "../api/schema";
import { link } from "../app/route.svelte";
import type { Look } from "../app/words";

const operations: Record<string, string> = {
  startSaga: "Start a saga", cancelSaga: "Cancel a saga", resolveIncident: "Decide about an incident", actOnMany: "Act on many sagas",
  replayDeadLetter: "Replay a dead letter", compensateDeadLetter: "Turn back the saga of a dead letter", discardDeadLetter: "Discard a dead letter",
  registerDefinition: "Register a definition", enterParticipant: "Enter a participant", removeParticipant: "Remove a participant",
  createKey: "Make a key", rotateKey: "Rotate a key", revokeKey: "Revoke a key", closeSession: "Sign out",
  enterWebhook: "Enter a webhook", removeWebhook: "Remove a webhook", rotateWebhook: "Rotate a webhook's secret", retryDelivery: "Deliver again", retryDeliveries: "Deliver all of a webhook again",
};

/** What was asked for; an operation that this page does not know has its own name. */
export const operationWord = (what: string): string => operations[what] ?? what;

/** The operations that can be chosen from. */
export const allOperations = Object.entries(operations);

/** What came of it. */
export function outcomeLook(change: Change): Look {
  if (change.status === undefined) return { word: "Not known", icon: "waiting", tone: "idle" };
  if (change.status < 400) return { word: "Done", icon: "done", tone: "good" };
  if (change.status === 403) return { word: "Not allowed", icon: "refused", tone: "bad" };
  return { word: `Not done: ${change.problem ?? change.status}`, icon: "failed", tone: "bad" };
}

/** Where what it was done to is shown, if there is a page of it. */
export function targetLink(change: Change): string | undefined {
  if (change.target === undefined) return undefined;
  if (change.what.endsWith("Saga") || change.what === "resolveIncident") return link(["sagas", change.target]);
  if (["enterWebhook", "rotateWebhook", "retryDeliveries"].includes(change.what)) return link(["webhooks", change.target]);
  if (change.what.endsWith("DeadLetter")) return link(["dead-letters", change.target]);
  return undefined;
}
