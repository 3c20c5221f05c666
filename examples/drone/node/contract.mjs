// The contract of docs/participants.md: one answer for each Idempotency-Key, whatever the order and the number of calls. It needs no locks, since nothing here waits between looking and
// writing.
import { Refusal } from "./refusal.mjs";

// answer carries a call out, or finds what was answered before. It returns {status, body} with a body that is JSON text.
export function answer(book, operation, call) {
  if (operation.phase === "action" && book.find(call.sibling)) {
    return refused("skald.compensated", "its compensation came before it"); // that entry keeps the action from ever acting again
  }
  const stored = book.find(call.key);
  if (stored) {
    return stored.operation === call.operation && (operation.phase === "compensation" || same(stored.input, call.body))
      ? stored
      : refused("skald.conflict", "this key was used with another input or operation; what it did then stands");
  }
  const entry = operation.phase === "action" ? carriedOut(call, operation, JSON.parse(call.body)) : compensate(book, operation, call);
  if (entry.status === 200 || (operation.phase === "action" && !operation.retriable)) {
    book.write(entry); // other refusals are not for good: asked again, it may be done
  }
  return entry;
}

// same compares payloads without regard to space between tokens.
function same(a, b) {
  return a === b || JSON.stringify(JSON.parse(a)) === JSON.stringify(JSON.parse(b));
}

// compensate undoes the action with the input that was stored then. If the action never came, or was refused, there is nothing to undo, and the entry alone keeps it from ever acting.
function compensate(book, operation, call) {
  const action = book.find(call.sibling);
  if (action?.operation !== operation.of || action.status !== 200) {
    return { key: call.key, operation: call.operation, input: call.body, status: 200, body: "null" };
  }
  return carriedOut(call, operation, JSON.parse(action.input));
}

function carriedOut(call, operation, input) {
  const entry = { key: call.key, operation: call.operation, input: call.body };
  try {
    const { result, changes } = operation.run(input, call);
    return { ...entry, status: 200, body: JSON.stringify(result), changes };
  } catch (error) {
    if (!(error instanceof Refusal)) {
      throw error; // unknown: nothing is written, and the call comes again
    }
    return { ...entry, ...refused(error.reason, error.message) };
  }
}

export function refused(reason, detail) {
  return problem(409, "urn:skald:problem:refused", "Refused", detail, reason);
}

export function problem(status, type, title, detail, reason) {
  return { status, body: JSON.stringify({ type, title, status, detail, reason }) };
}
