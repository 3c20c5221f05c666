// The service's database: a file to which each transaction is appended as one line of JSON, and synced before anybody is told. A line holds the key of the call, its answer
// and the changes that it made, so that the three happen together or not at all: that is what makes a repeated call harmless.
//
// It is read into memory at the start. A last line that was cut off by a crash was told to nobody, and is taken away. One process uses a file at a time.
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export class Book {
  #file;
  #size = 0; // of what is whole and synced
  #entries = new Map(); // by key

  // apply is called with each change, now for those in the file and later for those that are written.
  constructor(path, apply) {
    this.apply = apply;
    this.#file = openSync(path, "a+", 0o600);
    const folder = openSync(dirname(path), "r"); // so that the file's name survives, too
    fsyncSync(folder);
    closeSync(folder);
    const text = readFileSync(path);
    for (let from = 0, to = text.indexOf(10); to >= 0; from = to + 1, to = text.indexOf(10, from)) {
      this.#take(JSON.parse(text.subarray(from, to).toString("utf8")));
      this.#size = to + 1;
    }
    ftruncateSync(this.#file, this.#size);
  }

  // find returns what was written under a key: {key, operation, input, status, body}, or undefined.
  find(key) {
    return this.#entries.get(key);
  }

  // write makes an entry durable, and only then true. After an error the process ends: it does not know what of the entry is in the file, and has told nobody. The next start reads what is,
  // a whole line or, cut off, nothing.
  write(entry) {
    const line = Buffer.from(JSON.stringify(entry) + "\n");
    try {
      for (let done = 0; done < line.length; ) {
        done += writeSync(this.#file, line, done);
      }
      fsyncSync(this.#file);
    } catch (error) {
      console.error("the book cannot be written, which ends the process; it goes on from what is durable:", error.message);
      process.exit(1);
    }
    this.#size += line.length;
    this.#take(entry);
  }

  #take(entry) {
    if (entry.key) {
      this.#entries.set(entry.key, entry);
    }
    for (const change of entry.changes ?? []) {
      this.apply(change);
    }
  }
}
