// What a page shows of the API, asked for again and again while somebody looks at it.
import { aborted, Problem } from "../api/http";

export interface Polled<T> {
  readonly value: T | undefined;
  /** The last attempt's fault. A value from before is kept beside it. */
  readonly problem: Problem | undefined;
  /** again asks at once. */
  again(): void;
}

/**
 * poll asks at once, and again after every pause (milliseconds), while the page is visible. Call it while a component is made; what asked reads of the state it runs in begins it anew.
 */
export function poll<T>(pause: number, asked: (signal: AbortSignal) => Promise<T>): Polled<T> {
  let value = $state.raw<T>();
  let problem = $state.raw<Problem>();
  let now = $state(0);

  $effect(() => {
    void now;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isAsking = false;
    const round = async () => {
      timer = undefined;
      isAsking = true;
      try {
        const found = await asked(stop.signal);
        if (stop.signal.aborted) return;
        value = found;
        problem = undefined;
      } catch (error) {
        if (stop.signal.aborted || aborted(error)) return;
        problem = error instanceof Problem ? error : new Problem(0, "Something went wrong in this page", String(error));
      } finally {
        isAsking = false;
      }
      if (!document.hidden) timer = setTimeout(round, pause);
    };
    const seen = () => {
      if (!document.hidden && !isAsking && timer === undefined) void round();
    };
    document.addEventListener("visibilitychange", seen);
    void round();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  });

  return {
    get value() {
      return value;
    },
    get problem() {
      return problem;
    },
    again() {
      now++;
    },
  };
}
