// JSON as participants wrote it. JavaScript's numbers round what has more than 15 digits, and an operator who compares an amount or an id must see what is really there.

/** Exact is a number that JavaScript cannot hold without changing it, as it was written. */
export class Exact {
  constructor(readonly source: string) {}
  toString(): string {
    return this.source;
  }
}

const digits = (source: string) => source.replace(/[eE].*$/, "").replace(/^-?0*\.?0*/, "").replace(".", "").length;

/** parse reads JSON, and keeps numbers of more than 15 digits as Exact. */
export function parse(text: string): unknown {
  // The third argument is younger than the library's types say.
  const keep = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && context?.source !== undefined && digits(context.source) > 15 ? new Exact(context.source) : value;
  return JSON.parse(text, keep as (key: string, value: unknown) => unknown);
}

/** Token is a piece of pretty-printed JSON. */
export interface Token {
  text: string;
  kind: "key" | "string" | "number" | "word" | "mark";
}

/** lines pretty-prints a value as lines of tokens. A value that is not there has none. */
export function lines(value: unknown): Token[][] {
  const all: Token[][] = [[]];
  const put = (kind: Token["kind"], text: string): void => {
    all.at(-1)!.push({ kind, text });
  };
  const begin = (depth: number): void => {
    all.push([{ kind: "mark", text: "  ".repeat(depth) }]);
  };
  const write = (v: unknown, depth: number): void => {
    if (v instanceof Exact || typeof v === "number") return put("number", String(v));
    if (typeof v === "string") return put("string", JSON.stringify(v));
    if (v === null || typeof v !== "object") return put("word", String(v));
    const isList = Array.isArray(v);
    const members = Object.entries(v);
    put("mark", isList ? "[" : "{");
    members.forEach(([name, of], i) => {
      begin(depth + 1);
      if (!isList) {
        put("key", JSON.stringify(name));
        put("mark", ": ");
      }
      write(of, depth + 1);
      if (i < members.length - 1) put("mark", ",");
    });
    if (members.length > 0) begin(depth);
    put("mark", isList ? "]" : "}");
  };
  if (value === undefined) return [];
  write(value, 0);
  return all;
}

/** print is lines as one text. */
export function print(value: unknown): string {
  return lines(value)
    .map((line) => line.map((token) => token.text).join(""))
    .join("\n");
}
