// What the program that serves the console says about itself. See console.Config.

interface Settings {
  /** Where a trace is shown: an address with {trace} in it; empty without. */
  trace_url: string;
}

let asked: Promise<Settings> | undefined;

export function settings(): Promise<Settings> {
  asked ??= fetch("./settings.json", { cache: "no-store" })
    .then((answer) => answer.json() as Promise<Settings>)
    .catch(() => ({ trace_url: "" }));
  return asked;
}
