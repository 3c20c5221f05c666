// Server-sent events by fetch rather than EventSource: so that a watch meets 401 and other problems as every request does, and knows a stream that ended from one that broke off.
import { ask, aborted, Problem } from "./http";
import { parse } from "./json";
import type { Event } from "./schema";

/** pauses between attempts, in milliseconds. */
const pauses = [500, 1000, 2000, 5000, 10000];

/**
 * watch hands a saga's events to told as they become durable, from after a sequence number until the saga's end. When the stream breaks off it asks again, from after the last event, and says so to
 * lost. It returns when the saga has ended or the signal aborts, and throws what asking again does not mend.
 */
export async function watch(id: string, after: number, told: (event: Event) => void, lost: (isLost: boolean) => void, signal: AbortSignal): Promise<void> {
  let last = after;
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      const answer = await ask("GET", `/v1/sagas/${encodeURIComponent(id)}/watch`, { query: { after: last }, headers: { Accept: "text/event-stream" }, signal });
      lost(false);
      if (answer.status === 204 || answer.body === null) return;
      for await (const [name, data] of messages(answer.body)) {
        if (name === "end") return;
        const event = parse(data) as Event;
        last = event.seq;
        attempt = 0;
        told(event);
      }
    } catch (error) {
      if (aborted(error)) return;
      if (error instanceof Problem && error.status >= 400 && error.status < 500) throw error;
    }
    lost(true);
    await pause(pauses[Math.min(attempt, pauses.length - 1)]!, signal);
  }
}

/** messages reads the name and the data of each event of a stream. */
async function* messages(stream: ReadableStream<Uint8Array>): AsyncGenerator<[name: string, data: string]> {
  const reader = stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
        const fields = rest.slice(0, end).split("\n");
        rest = rest.slice(end + 2);
        const field = (name: string) => fields.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        const name = field("event");
        if (name !== undefined) yield [name, field("data") ?? ""];
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
