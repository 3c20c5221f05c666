// How deliveries and secrets of webhooks are said.
import type { Delivery, Webhook } from "../api/schema";
import { clockTime, many, type Look } from "../app/words";

/** How far a delivery is. */
export function deliveryLook(d: Delivery): Look {
  switch (d.state) {
    case "delivered":
      return { word: "Delivered", icon: "done", tone: "good" };
    case "given-up":
      return { word: "Given up", icon: "failed", tone: "bad" };
    case "waiting":
      return d.attempts === 0 ? { word: "To be made", icon: "waiting", tone: "active" } : { word: "Waits for the next try", icon: "retrying", tone: "back" };
  }
}

/** How often it was tried, and what was in the way. An error that only repeats the status is left out beside it. */
export function tried(d: Delivery): string {
  if (d.attempts === 0) return d.error ? `made anew; before: ${d.error}` : "not tried yet";
  const times = d.attempts === 1 ? "once" : many(d.attempts, "time");
  if (d.state === "delivered") return `tried ${times}, answered ${d.status ?? "well"}`;
  return `tried ${times}: ${d.error ?? `it answered ${d.status ?? "nothing"}`}`;
}

/** Which sagas an endpoint is told of, if it names no definitions. */
export const onlyAsked = "sagas that are started with it";

/** What signs, besides the newest secret. */
export const oldSecret = (w: Webhook): string => (w.old_secret_until ? `the one before signs, too, until ${clockTime(w.old_secret_until)}` : "");
