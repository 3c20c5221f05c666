// The API of the order system, as the page uses it. Every call either answers with data or throws a Problem.

/** Why a call did not succeed, in words for a person; `faults` are the fields at fault (RFC 9457 "errors"). */
export class Problem extends Error {
  constructor({ status, title, detail, faults = [], retryAfter = 0 }) {
    super(detail || title);
    this.name = "Problem";
    this.status = status; // 0: no answer came at all
    this.title = title;
    this.detail = detail;
    this.faults = faults;
    this.retryAfter = retryAfter; // seconds, 0 if the server did not say
  }

  /** Nothing is known about whether the call took effect; the same call may be made again. */
  get unknown() {
    return this.status === 0 || this.status >= 500 || this.status === 429;
  }
}

/** The products: [{sku, name, price_cents, stock, description?}]. */
export const products = (signal) => call("GET", "/api/produits", { signal });

/** Places an order; the key makes a repeated call the same order. Answers with the order as accepted. */
export async function placeOrder(order, key) {
  return call("POST", "/api/commandes", { body: order, headers: { "Idempotency-Key": key } });
}

/** One order with its steps, or a Problem with status 404. */
export const order = (id, signal) => call("GET", orderPath(id), { signal });

/** The orders that wait for a person's decision: {commandes:[{id, …}], next?}. */
export const stuckOrders = (signal) => call("GET", "/api/commandes?incident=true&limit=100", { signal });

/** Where the order's stream of server-sent events is. */
export const orderEventsURL = (id) => `${orderPath(id)}/events`;

/** Acts on an incident: {step, verb, email?, reason?, by?}. */
export const actOnIncident = (id, action) => call("POST", `${orderPath(id)}/incident`, { body: action });

/** Every failure switch: [{service, operation, mode, count, delay_ms}]. */
export const switches = (signal) => call("GET", "/api/switches", { signal });

/** Sets one switch: {mode, count, delay_ms}. */
export const setSwitch = (operation, setting) =>
  call("PUT", `/api/switches/${encodeURIComponent(operation)}`, { body: setting });

/** Turns every switch off. */
export const resetSwitches = () => call("DELETE", "/api/switches");

/** The mode of new orders: {mode, modes: those that can be chosen}. */
export const mode = (signal) => call("GET", "/api/mode", { signal });

/** Chooses the mode of new orders. */
export const setMode = (chosen) => call("PUT", "/api/mode", { body: { mode: chosen } });

/** What runs where: {services:[{name, address, metrics, database}], mailbox, metrics, smtp?}. */
export const system = (signal) => call("GET", "/api/system", { signal });

function orderPath(id) {
  return `/api/commandes/${encodeURIComponent(id)}`;
}

async function call(method, path, { body, headers = {}, signal } = {}) {
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
    throw new Problem({ status: 0, title: "No answer", detail: "The shop’s server does not answer. It may be restarting." });
  }
  if (!response.ok) throw await problemOf(response);
  if (response.status === 204) return null;
  const text = await response.text();
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem({ status: 502, title: "Unreadable answer", detail: "The server’s answer was not what the page expected." });
  }
}

async function problemOf(response) {
  const retryAfter = Number.parseInt(response.headers.get("Retry-After") ?? "", 10) || 0;
  const type = response.headers.get("Content-Type") ?? "";
  const said = type.includes("json") ? await response.json().catch(() => ({})) : {};
  const faults = Array.isArray(said.errors) ? said.errors.filter((fault) => fault && typeof fault === "object") : [];
  return new Problem({
    status: response.status,
    title: said.title || `The server answered ${response.status}`,
    detail: said.detail || "",
    faults: faults.map((fault) => ({ field: String(fault.field ?? ""), detail: String(fault.detail ?? "") })),
    retryAfter,
  });
}
