// The failure switches of the demonstration: they make an operation refuse, be slow, be down, answer 500, or act and lose the answer, so that a person can watch what a saga does about it. They
// are kept in memory only.
import { problem } from "./contract.mjs";
import { Refusal } from "./refusal.mjs";

const modes = ["off", "refuse", "slow", "down", "error500", "drop"];

export class Panel {
  #settings;

  constructor(service, reason, operations) {
    this.reason = reason;
    this.service = service;
    this.#settings = new Map();
    for (const operation of Object.keys(operations).sort()) {
      this.#settings.set(operation, this.#off(operation));
    }
  }

  #off(operation) {
    return { service: this.service, operation, mode: "off", count: 0, delay_ms: 0 };
  }

  // take uses an operation's switch once, if it is in one of these modes.
  #take(operation, ...wanted) {
    const s = this.#settings.get(operation);
    if (!wanted.includes(s.mode)) {
      return this.#off(operation);
    }
    if (s.count > 0 && s.count-- === 1) {
      this.#settings.set(operation, this.#off(operation));
    }
    return { ...s };
  }

  // refusing is an operation with its switch for refusals, which are given from within, so that they are stored like real ones.
  refusing(operation, run) {
    return (...args) => {
      if (this.#take(operation, "refuse").mode === "refuse") {
        throw new Refusal(this.reason, `the failure switch of ${operation} is on`);
      }
      return run(...args);
    };
  }

  // around does what the operation's switch says to a call. null is a connection that is lost.
  async around(operation, act) {
    const s = this.#take(operation, "slow", "down", "error500", "drop");
    switch (s.mode) {
      case "slow":
        await new Promise((resolve) => setTimeout(resolve, s.delay_ms));
        return act();
      case "down":
        return null;
      case "error500":
        return problem(500, "about:blank", "Internal Server Error", `the failure switch of ${operation} is on`);
      case "drop":
        act();
        return null;
    }
    return act();
  }

  // page answers the panel's own pages, or undefined.
  page(method, path, body) {
    if (path === "/switches" && method === "GET") {
      return { status: 200, body: JSON.stringify([...this.#settings.values()]) };
    }
    if (path === "/switches" && method === "DELETE") {
      for (const operation of this.#settings.keys()) {
        this.#settings.set(operation, this.#off(operation));
      }
      return { status: 204 };
    }
    const [, operation] = path.match(/^\/switches\/([^/]+)$/) ?? [];
    return operation && method === "PUT" ? this.#put(operation, body) : undefined;
  }

  #put(operation, body) {
    let s;
    try {
      s = { ...this.#off(operation), ...JSON.parse(body) };
    } catch {
      return problem(400, "about:blank", "Bad Request", 'Send {"mode":…,"count":…,"delay_ms":…}.');
    }
    if (!this.#settings.has(operation)) {
      return problem(404, "about:blank", "Not Found", `There is no operation of this name; there are ${[...this.#settings.keys()].join(", ")}.`);
    }
    const whole = (n, least, most) => Number.isInteger(n) && n >= least && n <= most;
    if (!modes.includes(s.mode) || !whole(s.count, 0, 1e6) || !whole(s.delay_ms, s.mode === "slow" ? 1 : 0, 600_000)) {
      return problem(422, "about:blank", "Unprocessable Entity", `The switch cannot be set: give a mode (${modes.join(", ")}), a count of 0 to 1000000 calls, and 1 to 600000 ms for slow.`);
    }
    this.#settings.set(operation, { service: this.service, operation, mode: s.mode, count: s.mode === "off" ? 0 : s.count, delay_ms: s.mode === "slow" ? s.delay_ms : 0 });
    return { status: 204 };
  }
}
