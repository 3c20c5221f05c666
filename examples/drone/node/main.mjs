// The Package service of the drone system, in JavaScript: Node's standard library and nothing else. It knows nothing of Skald but the HTTP contract
// (docs/participants.md); a sidecar beside it takes part in the sagas.
//
//   LISTEN=127.0.0.1:9000 DATA=./data node main.mjs        or LISTEN=unix:/run/package.sock
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Book } from "./book.mjs";
import { Parcels } from "./parcels.mjs";
import { Panel } from "./panel.mjs";
import { serve } from "./server.mjs";

const data = process.env.DATA || "./data";
mkdirSync(data, { recursive: true, mode: 0o700 });
const parcels = new Parcels();
const book = new Book(join(data, "package.jsonl"), (change) => parcels.apply(change));
const panel = new Panel("package", "PackageFail.Switched", parcels.operations());
serve({ name: "package", listen: process.env.LISTEN || "127.0.0.1:0", book, service: parcels, panel });

// Whoever started this may want it to end with them, however they end: their end of the pipe closes then.
if (process.env.PARENT === "stdin") {
  process.stdin.on("end", () => process.exit(0)).resume();
}
