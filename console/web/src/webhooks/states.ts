// The states that deliveries are narrowed to.
import type { Delivery } from "../api/schema";

export type Narrowed = Delivery["state"] | "";

export const states: [Narrowed, string][] = [["", "All"], ["waiting", "Waiting"], ["given-up", "Given up"], ["delivered", "Delivered"]];

/** stateOf reads a state from an address; any other text is none. */
export const stateOf = (text: string | null): Narrowed => states.find(([s]) => s === text)?.[0] ?? "";
