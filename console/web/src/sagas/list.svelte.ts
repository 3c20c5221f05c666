import { untrack } from "svelte";
import { aborted, Problem } from "../api/http";
import type { Filter, Summary } from "../api/schema";
import { listSagas } from "../api/skald";

/** Sagas on a page of the API. */
const size = 100;

/** A page that was read: what comes after a cursor. Its place stays the same when sagas begin or end. */
interface Loaded {
  cursor?: string;
  sagas: Summary[];
}

/**
 * LiveList is a list of sagas that is read page by page, as far as somebody scrolls, and whose visible part is kept up to date. It never moves what is being looked at: what began
 * meanwhile is only counted, unless the top is in view.
 */
export class LiveList {
  #pages = $state.raw<Loaded[]>([]);
  #next = $state.raw<string>();
  #stop = new AbortController();

  /** Rows in order. */
  readonly rows = $derived(this.#pages.flatMap((page) => page.sagas));
  /** Whether the first page is still awaited. */
  isFirst = $state(true);
  /** How many sagas began since the top was read, at most a page. */
  fresh = $state(0);
  problem = $state.raw<Problem>();
  /** Whether something is being read: nothing else is meanwhile, so what was not asked for then has to be asked for afterwards. */
  isReading = $state(false);

  constructor(
    readonly filter: Filter,
    readonly order: "newest" | "oldest",
  ) {}

  /** More says whether there are more than were read. */
  get more(): boolean {
    return this.#next !== undefined;
  }

  stop(): void {
    this.#stop.abort();
  }

  /** top reads the first page anew and forgets the others. */
  async top(): Promise<void> {
    await this.#read(async () => {
      const page = await this.#page(undefined);
      this.#pages = [{ sagas: page.sagas }];
      this.#next = page.next;
      this.isFirst = false;
      this.fresh = 0;
    });
  }

  /** further reads the next page, if there is one. */
  async further(): Promise<void> {
    if (this.#next === undefined) return;
    await this.#read(async () => {
      const cursor = this.#next;
      const page = await this.#page(cursor);
      this.#pages = [...this.#pages, { cursor, sagas: page.sagas }];
      this.#next = page.next;
    });
  }

  /** refresh brings the rows from one index to another up to date. What began meanwhile appears at the top only if that is in view, and nobody has a hand on the list: a row must not move away from under it. */
  async refresh(from: number, to: number, isHeld: boolean): Promise<void> {
    if (from === 0 && this.order === "newest" && !isHeld) return this.top();
    await this.#read(async () => {
      if (this.order === "newest") await this.#topWithoutFresh();
      let begin = 0;
      for (const [i, page] of this.#pages.entries()) {
        const end = begin + page.sagas.length;
        if (begin <= to && end >= from && (i > 0 || this.order === "oldest")) await this.#again(i);
        begin = end;
      }
    });
  }

  /** again reads one page anew. Sagas that no longer match have gone from it, and those that moved up are on the next page already. */
  async #again(i: number): Promise<void> {
    const old = this.#pages[i]!;
    const found = await this.#page(old.cursor);
    const follower = this.#pages[i + 1]?.sagas[0]?.id;
    const cut = follower === undefined ? -1 : found.sagas.findIndex((saga) => saga.id === follower);
    this.#pages = this.#pages.with(i, { ...old, sagas: cut < 0 ? found.sagas : found.sagas.slice(0, cut) });
    if (i === this.#pages.length - 1) this.#next = found.next;
  }

  /** topWithoutFresh brings the first page up to date, and counts what began before it. Those that have been pushed beyond a page's length stay as they were. */
  async #topWithoutFresh(): Promise<void> {
    const found = (await this.#page(undefined)).sagas;
    const old = this.#pages[0]?.sagas ?? [];
    const places = new Map(old.map((saga, i) => [saga.id, i]));
    const first = found.findIndex((saga) => places.has(saga.id));
    this.fresh = first < 0 ? found.length : first;
    if (first < 0) return;
    const ours = found.slice(first).filter((saga) => places.has(saga.id));
    this.#pages = this.#pages.with(0, { sagas: [...ours, ...(found.length < size ? [] : old.slice(places.get(ours.at(-1)!.id)! + 1))] });
  }

  #page(cursor: string | undefined) {
    return listSagas(this.filter, { cursor, limit: size, order: this.order }, this.#stop.signal);
  }

  /** read does one reading at a time, and keeps what went wrong. */
  async #read(what: () => Promise<void>): Promise<void> {
    if (untrack(() => this.isReading) || this.#stop.signal.aborted) return;
    this.isReading = true;
    try {
      await what();
      this.problem = undefined;
    } catch (error) {
      if (aborted(error)) return;
      this.problem = error instanceof Problem ? error : new Problem(0, "Something went wrong in this page", String(error));
    } finally {
      this.isReading = false;
    }
  }
}
