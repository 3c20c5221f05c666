// The API of the drone system, as the page uses it. Every call either answers with data or throws a Problem. Addresses are relative: the page may be mounted anywhere.

import { asSentence } from "./words.js";

/** Why a call did not succeed, in words for a person; `faults` are the fields at fault (RFC 9457 "errors"). */
export class Problem extends Error {
  constructor({ status, title, detail = "", reason = "", faults = [] }) {
    super(detail || title);
    this.name = "Problem";
    this.status = status; // 0: no answer came at all
    this.reason = reason; // reason code, if it is a refusal
    this.faults = faults;
  }

  /** Everything that it says, in one line. */
  get whole() {
    return [this.message, ...this.faults.map(({ detail }) => detail)].filter(Boolean).map(asSentence).join(" ");
  }
}

/** The city: {center, bounds, depots, noFly, places, timeFactor}. */
export const area = (signal) => call("GET", "api/area", { signal });

/** The services of the saga: [{name, language, level}]. */
export const services = () => call("GET", "api/services");

/** The fleet: [{id, name, state, at, heading, battery, capacity_kg, delivery?}]. */
export const fleet = () => call("GET", "api/fleet");

/** The newest deliveries first. */
export const deliveries = () => call("GET", "api/deliveries?limit=50");

/** Where the server-sent events are. */
export const streamURL = "api/stream";

/** Requests a delivery and answers with its id; the key makes a repeated call the same delivery. */
export async function requestDelivery(request, key) {
  const { headers } = await send("POST", "api/deliveryrequests", { body: request, headers: { "Idempotency-Key": key } });
  return decodeURIComponent((headers.get("Location") ?? "").split("/").pop());
}

export const cancelDelivery = (id) => call("DELETE", requestPath(id));

/** Moves a delivery: {pickupTime, deadline}, RFC 3339 or empty. */
export const rescheduleDelivery = (id, times) => call("PATCH", requestPath(id), { body: times });

/** A delivery's saga: {state, outcome, mode, reason, cause, steps, incidents, events}. */
export const history = (id, signal) => call("GET", `${requestPath(id)}/history`, { signal });

/** Messages set aside, those that wait first. */
export const deadLetters = () => call("GET", "api/deadletters");

/** Replays or discards a dead letter: verb, {by, reason}. */
export const settleLetter = (id, verb, decision) => call("POST", `api/deadletters/${encodeURIComponent(id)}/${verb}`, { body: decision });

/** What an outsider received: {subscribed, received, duplicates, refused, events}. */
export const outsider = () => call("GET", "api/outsider");

/** Every failure switch: [{service, operation, mode, count, delay_ms}]. */
export const switches = () => call("GET", "api/switches");

/** Sets one switch: {mode, count, delay_ms}. */
export const setSwitch = (operation, setting) => call("PUT", `api/switches/${encodeURIComponent(operation)}`, { body: setting });

/** Turns every switch off. */
export const resetSwitches = () => call("DELETE", "api/switches");

function requestPath(id) {
  return `api/deliveryrequests/${encodeURIComponent(id)}`;
}

async function call(method, path, options) {
  const response = await send(method, path, options);
  const text = await response.text();
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem({ status: 502, title: "The server’s answer was not what the page expected." });
  }
}

async function send(method, path, { body, headers = {}, signal } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      cache: "no-store",
      headers: body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new Problem({ status: 0, title: "The server does not answer. It may be restarting." });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const type = response.headers.get("Content-Type") ?? "";
  const said = type.includes("json") ? await response.json().catch(() => ({})) : {};
  const faults = Array.isArray(said.errors) ? said.errors.filter((fault) => fault && typeof fault === "object") : [];
  return new Problem({
    status: response.status,
    title: said.title || `The server answered ${response.status}.`,
    detail: said.detail || "",
    reason: typeof said.reason === "string" ? said.reason : "",
    faults: faults.map(({ field, detail }) => ({ field: String(field ?? ""), detail: String(detail ?? "") })),
  });
}
