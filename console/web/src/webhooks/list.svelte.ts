import { aborted, Problem } from "../api/http";
import type { Delivery } from "../api/schema";
import { getDelivery, listDeliveries, type DeliveryFilter } from "../api/skald";

/** Deliveries on a page of the API, and how many that waited are asked about one by one in a round. */
const size = 100;
const mostAsked = 25;

/** DeliveryList is deliveries, newest first, as far as they were read. What is shown keeps its place and is kept up to date; what is new is only counted until somebody wants to see it. */
export class DeliveryList {
  rows = $state.raw<Delivery[]>([]);
  problem = $state.raw<Problem>();
  isLoaded = $state(false);
  /** Those that were made since the top was read, at most a page. */
  fresh = $state.raw<Delivery[]>([]);
  #next = $state.raw<string>();

  constructor(readonly filter: DeliveryFilter) {}

  get more(): boolean {
    return this.#next !== undefined;
  }

  /** look reads the first page, or what became of the rows since. */
  look = (signal: AbortSignal): Promise<void> => this.#tell(async () => {
    const page = await listDeliveries(this.filter, { limit: size }, signal);
    const now = new Map(page.deliveries.map((d) => [d.id, d]));
    if (this.rows.length === 0) { // nothing is there that could move
      this.rows = page.deliveries;
      this.#next = page.next;
      this.isLoaded = true;
      return;
    }
    const known = new Set(this.rows.map((d) => d.id));
    // A row that the page has no more either lies further down or came out of the filter's state, as those that wait do by themselves.
    const left = this.rows.filter((d) => !now.has(d.id) && d.state === "waiting").slice(0, mostAsked);
    for (const d of await Promise.all(left.map((d) => getDelivery(d.id, signal)))) now.set(d.id, d);
    this.rows = this.rows.map((d) => now.get(d.id) ?? d);
    this.fresh = page.deliveries.filter((d) => !known.has(d.id));
  });

  /** show puts what is new above the others. */
  show(): void {
    this.rows = [...this.fresh, ...this.rows];
    this.fresh = [];
  }

  /** further reads the next page. */
  further = (): Promise<void> => this.#tell(async () => {
    const page = await listDeliveries(this.filter, { limit: size, cursor: this.#next });
    const known = new Set(this.rows.map((d) => d.id));
    this.rows = [...this.rows, ...page.deliveries.filter((d) => !known.has(d.id))];
    this.#next = page.next;
  });

  /** changed takes in what the API answered to a verb. */
  changed(delivery: Delivery): void {
    this.rows = this.rows.map((d) => (d.id === delivery.id ? delivery : d));
  }

  async #tell(read: () => Promise<void>): Promise<void> {
    try {
      await read();
      this.problem = undefined;
    } catch (error) {
      if (!aborted(error)) this.problem = error instanceof Problem ? error : new Problem(0, "Something went wrong in this page", String(error));
    }
  }
}
