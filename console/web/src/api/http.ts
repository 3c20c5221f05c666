// The one place that speaks HTTP. Everything asked for is under /v1 on the origin that served the page.
import { parse } from "./json";
import type { Fault, Problem as Document } from "./schema";

/** Problem is an answer that is no success, or that there was none. Its detail says the mend. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly type = "",
    readonly errors: Fault[] = [],
    /** The least role that it takes, if that is what is missing. */
    readonly role = "",
  ) {
    super(detail);
  }
  /** gone says that nobody answered at all, which usually passes. */
  get gone(): boolean {
    return this.status === 0;
  }
}

type Query = Record<string, string | number | boolean | string[] | undefined>;

export interface Asking {
  query?: Query;
  /** A document, or JSON text that is sent as it is. */
  body?: object | string;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

let unauthenticated: () => void = () => {};

/** whenUnauthenticated sets what happens when the API wants to know who asks. */
export function whenUnauthenticated(then: () => void): void {
  unauthenticated = then;
}

function address(path: string, query: Query = {}): string {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const v of Array.isArray(value) ? value : [value]) {
      if (v !== undefined && v !== "" && v !== false) q.append(name, String(v));
    }
  }
  const text = q.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** ask makes a request and returns the answer, whose body is not read yet. It throws a Problem, or an AbortError. */
export async function ask(method: string, path: string, asking: Asking = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...asking.headers };
  let body: string | undefined;
  if (asking.body !== undefined) {
    headers["Content-Type"] = "application/json";
    body = typeof asking.body === "string" ? asking.body : JSON.stringify(asking.body);
  }
  let answer: Response;
  try {
    answer = await fetch(address(path, asking.query), { method, headers, body, signal: asking.signal, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "No answer", "The program does not answer. It may be restarting; sagas that were started are safe. Asking again…");
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (answer.status === 401) unauthenticated();
  throw problem;
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const said = (await answer.json()) as Document;
    if (said.detail) return new Problem(answer.status, said.title, said.detail, said.type, said.errors, said.role);
  } catch {
    // Not a problem document: something in between answered.
  }
  return new Problem(answer.status, `Status ${answer.status}`, `Something between here and Skald answered with ${`${answer.status} ${answer.statusText}`.trim()}. Try again, or look at its log.`);
}

/** get reads a document. */
export async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  const answer = await ask("GET", path, { query, signal });
  return parse(await answer.text()) as T;
}

/** post sends a document, if there is one, and returns the answer. */
export async function post<T>(path: string, body?: object | string): Promise<T> {
  const answer = await ask("POST", path, { body });
  const text = await answer.text();
  return (text === "" ? undefined : parse(text)) as T;
}

/** put says how something is to be from now on. */
export async function put<T>(path: string, body: object): Promise<T> {
  const answer = await ask("PUT", path, { body });
  return parse(await answer.text()) as T;
}

/** remove asks for something to be gone. */
export async function remove(path: string): Promise<void> {
  await ask("DELETE", path);
}

/** aborted says that somebody stopped asking, which is no fault. */
export function aborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
