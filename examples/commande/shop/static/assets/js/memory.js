// What the browser remembers between visits: the basket, the customer, recent orders, and the submission under way.
// Storage may be full or forbidden; the shop then works without memory.

const keys = { basket: "skald.basket", orders: "skald.orders", customer: "skald.customer", submission: "skald.submission" };
const ordersKept = 8;

function read(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // no storage: the page goes on without memory
  }
}

/** The basket as {sku: quantity}. */
export function basket() {
  const kept = read(keys.basket, {});
  return Object.fromEntries(Object.entries(kept).filter(([, n]) => Number.isInteger(n) && n > 0));
}

export const keepBasket = (lines) => write(keys.basket, lines);

/** {client, email}; a card is never kept. */
export const customer = () => read(keys.customer, { client: "", email: "" });
export const keepCustomer = ({ client, email }) => write(keys.customer, { client, email });

/** Recent orders, newest first: [{id, at, total_cents, items, outcome, stuck}]. */
export function recentOrders() {
  const kept = read(keys.orders, []);
  return Array.isArray(kept) ? kept.filter((order) => typeof order?.id === "string") : [];
}

/** Adds an order, or changes what is known of it. */
export function rememberOrder(order) {
  const kept = recentOrders();
  const known = kept.find((other) => other.id === order.id);
  const rest = kept.filter((other) => other.id !== order.id);
  if (known) write(keys.orders, kept.map((other) => (other === known ? { ...known, ...order } : other)));
  else write(keys.orders, [order, ...rest].slice(0, ordersKept));
}

/**
 * The Idempotency-Key of a submission. The same content gets the same key until the submission is settled, also after a
 * reload, so that trying again can never place a second order.
 */
export async function submissionKey(order) {
  const print = await fingerprint(order);
  const pending = read(keys.submission, null);
  if (pending?.print === print) return pending.key;
  const key = crypto.randomUUID();
  write(keys.submission, { print, key });
  return key;
}

/** The order was accepted: the next submission is another one even if it looks the same. */
export const submissionSettled = () => write(keys.submission, null);

/** A digest, so that the card number itself is never kept. */
async function fingerprint(order) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(order)));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
