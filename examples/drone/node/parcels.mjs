// What the Package service is about: it knows every package once, by its id, whoever says what it is and however often. Operations look at what is known and return a result and the
// changes that lead to it; nothing is changed before the changes are in the book.
import { Refusal } from "./refusal.mjs";

const mostWeight = { Small: 2.5, Medium: 5, Large: 10 }; // kg

export class Parcels {
  packages = new Map(); // id -> {id, size, weight, tag, revision}
  claims = new Map(); // delivery -> {delivery, package, state, revision, before}
  notes = new Map(); // delivery -> {cancelled, pickup_time, deadline}

  apply(change) {
    const [kind, key, value] = change;
    const table = { package: this.packages, claim: this.claims, note: this.notes }[kind];
    value === null ? table.delete(key) : table.set(key, value);
  }

  // operations are what the service can be asked by the contract. Each action that can be undone has its compensation beside it.
  operations() {
    return {
      "package.upsert": { phase: "action", run: (input) => this.upsert(input) },
      "package.withdraw": { phase: "compensation", of: "package.upsert", run: (input) => this.withdraw(input) },
      "package.cancel": { phase: "action", retriable: true, run: (input) => this.note(input, { cancelled: true }) },
      "package.reschedule": { phase: "action", retriable: true, run: (input) => this.note(input, { pickup_time: input.pickup_time, deadline: input.deadline }) },
    };
  }

  // upsert makes a delivery's package known.
  upsert(input) {
    if (this.notes.get(input.delivery)?.cancelled) {
      throw new Refusal("PackageFail.Cancelled", `delivery ${input.delivery} was cancelled`);
    }
    const now = { id: input.package, size: input.size, weight: input.weight_kg, tag: input.tag };
    const { before, written, changes } = this.save(now);
    changes.push(["claim", input.delivery, { delivery: input.delivery, package: now.id, state: "held", revision: written.revision, before }]);
    return { result: { package: now.id, created: !before, size: now.size, weight_kg: now.weight }, changes };
  }

  // save makes a package known, or what is known of it up to date.
  save(now) {
    check(now);
    const before = this.packages.get(now.id) ?? null;
    const written = { ...now, revision: (before?.revision ?? 0) + 1 };
    return { before, written, changes: [["package", now.id, written]] };
  }

  // withdraw restores what was known of the package before, unless somebody has said something else since.
  withdraw(input) {
    const claim = this.claims.get(input.delivery);
    const changes = [["claim", input.delivery, { ...claim, state: "withdrawn" }]];
    const now = this.packages.get(claim.package);
    const wanted = [...this.claims.values()].some((c) => c.package === claim.package && c.state === "held" && c.delivery !== claim.delivery);
    if (now?.revision === claim.revision && (claim.before || !wanted)) {
      changes.push(["package", claim.package, claim.before && { ...claim.before, revision: now.revision + 1 }]);
    }
    return { result: null, changes };
  }

  // note keeps what was decided about a delivery under way.
  note(input, what) {
    return { result: {}, changes: [["note", input.delivery, { ...this.notes.get(input.delivery), ...what }]] };
  }

  // page is what the pages say of a package, or undefined.
  page(id) {
    const known = this.packages.get(id);
    if (!known) {
      return undefined;
    }
    const deliveries = [...this.claims.values()].filter((c) => c.package === id).map((c) => {
      const { cancelled, pickup_time: pickupTime, deadline } = this.notes.get(c.delivery) ?? {};
      return { delivery: c.delivery, state: c.state, cancelled, pickupTime, deadline }; // what is undefined is left out
    });
    const { revision, ...said } = known;
    return deliveries.length > 0 ? { ...said, deliveries } : said;
  }
}

// check refuses what is no package.
function check(p) {
  const most = Object.hasOwn(mostWeight, p.size) ? mostWeight[p.size] : undefined; // "constructor" is no size
  if (typeof p.id !== "string" || p.id === "") {
    throw new Refusal("PackageFail.Unnamed", "a package without an id");
  }
  if (most === undefined) {
    throw new Refusal("PackageFail.UnknownSize", `there is no size ${JSON.stringify(p.size)}: use ${Object.keys(mostWeight).join(", ")}`);
  }
  if (typeof p.weight !== "number" || !(p.weight > 0)) {
    throw new Refusal("PackageFail.Weight", `a weight of ${p.weight} kg: give one that is positive`);
  }
  if (p.weight > most) {
    throw new Refusal("PackageFail.TooHeavy", `${p.weight} kg: a package of size ${p.size} may weigh ${most} kg`);
  }
}
