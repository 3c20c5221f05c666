import { aborted, Problem } from "../api/http";
import type { Definition, Event, Saga } from "../api/schema";
import { getDefinition, getSaga, listEvents } from "../api/skald";
import { watch } from "../api/watch";

/** LiveSaga is a saga with its journal and its definition, kept up to date while somebody looks. */
export class LiveSaga {
  saga = $state.raw<Saga>();
  events = $state.raw<Event[]>([]);
  /** Undefined if no program has registered it. */
  definition = $state.raw<Definition>();
  problem = $state.raw<Problem>();
  /** Whether the connection is lost: what is shown is from before. */
  isLost = $state(false);
  isLoaded = $state(false);

  #stop = new AbortController();
  #reading: Promise<void> | undefined;
  #isStale = false;

  constructor(readonly id: string) {}

  /** follow loads everything, and then follows the saga to its end. stop ends it. */
  async follow(): Promise<void> {
    const signal = this.#stop.signal;
    try {
      const [saga, events] = await Promise.all([getSaga(this.id, signal), listEvents(this.id, signal)]);
      this.definition = await getDefinition(saga.definition, saga.version, signal).catch((error: unknown) => {
        if (error instanceof Problem && error.status === 404) return undefined;
        throw error;
      });
      this.saga = saga;
      this.events = events;
      this.problem = undefined;
      this.isLoaded = true;
      if (saga.ended && (events.at(-1)?.seq ?? 0) >= saga.seq) return;
      await watch(this.id, events.at(-1)?.seq ?? 0, (event) => this.#told(event), (isLost) => (this.isLost = isLost), signal);
      await this.refresh();
    } catch (error) {
      if (signal.aborted || aborted(error)) return;
      this.problem = error instanceof Problem ? error : new Problem(0, "Something went wrong in this page", String(error));
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  #told(event: Event): void {
    if (event.seq <= (this.events.at(-1)?.seq ?? 0)) return;
    this.events = [...this.events, event];
    void this.refresh();
  }

  /** refresh reads the saga anew. Calls while it does so lead to one more reading. */
  async refresh(): Promise<void> {
    this.#isStale = true;
    this.#reading ??= (async () => {
      try {
        while (this.#isStale) {
          this.#isStale = false;
          const saga = await getSaga(this.id, this.#stop.signal);
          if (saga.seq >= (this.saga?.seq ?? 0)) this.saga = saga;
        }
      } catch (error) {
        if (!aborted(error)) this.isLost = true;
      } finally {
        this.#reading = undefined;
      }
    })();
    return this.#reading;
  }

  /** decided takes in what the API answered to a decision. Nobody tells of what comes after the end: it is read. */
  decided(saga: Saga): void {
    this.saga = saga;
    if (saga.ended) void this.follow();
  }
}
