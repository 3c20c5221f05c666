// The service's HTTP server, on loopback or a Unix socket: the operations of the contract, the service's own pages, and the failure switches of the demonstration.
import { createServer } from "node:http";
import { chmodSync, rmSync } from "node:fs";
import { answer, problem } from "./contract.mjs";
import { Refusal } from "./refusal.mjs";

const maxBody = (2 << 20) + 1024;
const unusable = (status, detail) => problem(status, "urn:skald:problem:unusable-request", "The request cannot be used", detail);

export function serve({ name, listen, book, service, panel }) {
  const operations = service.operations();
  const server = createServer((request, response) => {
    handle(request, { book, operations, service, panel })
      .catch((error) => {
        console.error(request.method, request.url, error);
        return problem(500, "urn:skald:problem:unknown-result", "The result is not known; ask again", "the service's log says why");
      })
      .then((said) => send(request, response, said));
  });
  const path = listen.startsWith("unix:") ? listen.slice("unix:".length) : "";
  const [host, port] = [listen.slice(0, listen.lastIndexOf(":")), Number(listen.slice(listen.lastIndexOf(":") + 1))];
  if (!path && !["127.0.0.1", "localhost", "[::1]"].includes(host)) {
    console.error(`LISTEN is ${listen}, which can be reached from elsewhere: say 127.0.0.1:0 or unix:/run/${name}.sock`);
    process.exit(2);
  }
  const up = () => {
    if (path) {
      chmodSync(path, 0o600);
    }
    console.log(`${name} listens on ${path ? "unix://" + path : `http://${host}:${server.address().port}`}`);
  };
  if (path) {
    rmSync(path, { force: true }); // a process that was killed leaves it behind
    server.listen(path, up);
  } else {
    server.listen(port, host.replace(/[[\]]/g, ""), up);
  }
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      server.close(() => process.exit(0)); // once what is under way is answered
      server.closeIdleConnections();
    });
  }
}

// handle says what a request is answered; null is no answer at all.
async function handle(request, world) {
  const body = await read(request);
  if (body === undefined) {
    return problem(413, "urn:skald:problem:too-large", "The body is too large", `${maxBody} bytes are allowed`);
  }
  const path = pathOf(request.url);
  if (path === undefined) {
    return unusable(400, "the path cannot be read");
  }
  if (path.startsWith("/operations/")) {
    return operate(request, path.slice("/operations/".length), body, world);
  }
  return page(request, path, body, world);
}

// pathOf is a request's path, or undefined if it is none.
function pathOf(url) {
  try {
    return decodeURIComponent(new URL(url, "http://localhost").pathname);
  } catch {
    return undefined;
  }
}

async function operate(request, name, body, { book, operations, panel }) {
  const operation = Object.hasOwn(operations, name) ? operations[name] : undefined;
  if (!operation) {
    return problem(404, "urn:skald:problem:no-such-operation", "No such operation", `this participant does not serve ${JSON.stringify(name)}; it serves ${Object.keys(operations).join(", ")}`);
  }
  if (request.method !== "POST") {
    return unusable(405, "operations are called with POST");
  }
  if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? "")) {
    return unusable(415, "Content-Type: send application/json");
  }
  const h = request.headers;
  const [saga, step, key] = [h["skald-saga"], h["skald-step"], h["idempotency-key"]];
  if (!saga || !step || key !== `${saga}/${step}/${operation.phase}`) {
    return unusable(400, `Idempotency-Key is ${JSON.stringify(key)}: send Skald-Saga, Skald-Step and the key <saga>/<step>/${operation.phase}`);
  }
  if (h["skald-deadline"] && Date.parse(h["skald-deadline"]) <= Date.now()) {
    return { ...problem(503, "urn:skald:problem:unknown-result", "The result is not known; ask again", "the deadline had passed when the call arrived: nothing was done"), retryAfter: 1 };
  }
  const call = { key, operation: name, body: body.trim() || "null", sibling: `${saga}/${step}/${operation.phase === "action" ? "compensation" : "action"}` };
  try {
    JSON.parse(call.body);
  } catch {
    return unusable(400, "the body is not JSON");
  }
  return panel.around(name, () => answer(book, { ...operation, run: panel.refusing(name, operation.run) }, call));
}

// page answers the service's own pages.
function page(request, path, body, { book, service, panel }) {
  const said = panel.page(request.method, path, body);
  if (said) {
    return said;
  }
  const [, id] = path.match(/^\/api\/packages(?:\/([^/]+))?$/) ?? [null, null];
  if (id === undefined && request.method === "GET") {
    return { status: 200, body: JSON.stringify([...service.packages.keys()].sort()) };
  }
  if (id && request.method === "GET") {
    const known = service.page(id);
    return known ? { status: 200, body: JSON.stringify(known) } : problem(404, "about:blank", "Not Found", "There is nothing of this id.");
  }
  if (id && request.method === "PUT") {
    return put(id, body, book, service);
  }
  return problem(404, "about:blank", "Not Found", "There is no such page.");
}

// put answers PUT /api/packages/{id}: 201 if the package was not known, 204 if it was.
function put(id, body, book, service) {
  const said = document(body);
  if (!said) {
    return problem(400, "about:blank", "Bad Request", 'Send {"size":"Small","weight":1.5,"tag":"books"} and nothing else.');
  }
  try {
    const { before, changes } = service.save({ id, ...said });
    book.write({ changes });
    return before ? { status: 204 } : { status: 201, location: `/api/packages/${encodeURIComponent(id)}` };
  } catch (error) {
    if (error instanceof Refusal) {
      return problem(422, "about:blank", "Unprocessable Entity", error.message, error.reason);
    }
    throw error;
  }
}

// document reads a package's document to the letter, or undefined: a member that is spelt otherwise is found, instead of being left out.
function document(body) {
  const members = { size: "", weight: 0, tag: "" };
  try {
    const said = JSON.parse(body);
    const fits = Object.entries(said).every(([name, value]) => Object.hasOwn(members, name) && typeof value === typeof members[name]);
    return fits && !Array.isArray(said) && typeof said === "object" ? { ...members, ...said } : undefined;
  } catch {
    return undefined;
  }
}

// read reads a body, or undefined if it is too large.
async function read(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size <= maxBody) {
      parts.push(part);
    }
  }
  return size > maxBody ? undefined : Buffer.concat(parts).toString("utf8");
}

function send(request, response, said) {
  if (said === null) {
    request.socket.end("HTTP/1.1 "); // a connection that is lost in the first line of the answer
    return;
  }
  const headers = {};
  if (said.body !== undefined) {
    headers["Content-Type"] = said.status >= 400 ? "application/problem+json" : "application/json";
  }
  if (said.location) {
    headers.Location = said.location;
  }
  if (said.retryAfter) {
    headers["Retry-After"] = String(said.retryAfter);
  }
  response.writeHead(said.status, headers);
  response.end(said.body);
}
