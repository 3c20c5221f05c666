// The form that requests a delivery, with what to try.
import { fill, freshId, h, icon, say } from "../../shop/assets/js/dom.js";
import { distance, parse, projection } from "./geometry.js";
import * as api from "./api.js";
import { asSentence, deadlines, pickupTimes, presets, reasonInWords, sizes } from "./words.js";

/**
 * The form in `element`. `accepted(id)` comes with every delivery that was accepted, `onDraft({pickup, dropoff})` with every change of a place.
 * `pick("lat,lon")` puts a place where the next one belongs.
 */
export function requestForm(element, area, { accepted, onDraft }) {
  const plane = projection(parse(area.center));
  const places = area.places ?? [];
  const usual = { pickup: places[0]?.at ?? area.center, dropoff: places[2]?.at ?? area.center, size: "Medium", weight: "1.5", pickupTime: "", deadline: "", expedited: false };
  const fields = {};
  let next = "pickup"; // which place a click on the map sets
  let pending = null; // a submission without a clear answer: made again with the same key

  const list = h("datalist", { id: "places" }, places.map(({ name, at }) => h("option", { value: short(at) }, name)));
  const setters = { pickup: setter("pickup", "A"), dropoff: setter("dropoff", "B") };
  const submit = h("button", { type: "submit", class: "button primary", "data-testid": "request-submit" }, "Request delivery");
  const most = h("span", { class: "near quiet" });
  const answer = h("p", { class: "answer", role: "status", "data-testid": "request-answer" });
  const tries = h("div", { class: "tries", role: "group", "aria-label": "What to try" }, presets.map((preset) =>
    h("button", { type: "button", class: "chip", "data-testid": `preset-${preset.id}`, onclick: () => use(preset) }, preset.title)));
  const form = h("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); send(1); } },
    h("div", { class: "pair" }, location("pickup", "Pickup"), location("dropoff", "Drop-off")),
    h("p", { class: "quiet small map-hint" }, "Or click the map: A, then B."),
    h("div", { class: "pair" },
      field("size", "Size", select(Object.keys(sizes).map((size) => [size, size]))),
      field("weight", "Weight, kg", h("input", { inputmode: "decimal", autocomplete: "off" }), most)),
    h("div", { class: "pair" }, field("pickupTime", "Pickup time", select(pickupTimes)), field("deadline", "Deadline", select(deadlines))),
    list, h("div", { class: "send" }, submit, h("label", { class: "check" }, fields.expedited = h("input", { type: "checkbox", "data-testid": "field-expedited" }), "Expedited")), answer);

  function select(options) {
    return h("select", null, options.map(([value, title]) => h("option", { value }, title)));
  }

  function field(name, title, input, extra) {
    const id = freshId(name);
    input.setAttribute("id", id);
    input.setAttribute("data-testid", `field-${name}`);
    input.addEventListener("input", changed);
    fields[name] = input;
    return h("div", { class: "field" }, h("label", { for: id }, title, extra), input);
  }

  function location(name, title) {
    const near = h("span", { class: "near quiet" });
    const input = h("input", { list: "places", autocomplete: "off", spellcheck: "false" });
    const box = field(name, `${title} `, input, near);
    input.near = near;
    const row = h("div", { class: "place-row" }, setters[name]);
    input.replaceWith(row);
    row.append(input);
    input.addEventListener("focus", () => aim(name));
    return box;
  }

  function setter(name, letter) {
    return h("button", { type: "button", class: "letter", "aria-pressed": "false", "aria-label": `The map sets the ${name === "pickup" ? "pickup" : "drop-off"}`, onclick: () => aim(name) }, letter);
  }

  function aim(name) {
    next = name;
    for (const [key, button] of Object.entries(setters)) button.setAttribute("aria-pressed", String(key === name));
  }

  function changed() {
    for (const name of ["pickup", "dropoff"]) say(fields[name].near, nameOf(fields[name].value));
    say(most, sizes[fields.size.value]);
    onDraft({ pickup: fields.pickup.value, dropoff: fields.dropoff.value });
    pending = null; // other content is another delivery
  }

  /** The place that a location is at or near. */
  function nameOf(text) {
    const at = parse(text);
    if (!at) return text.trim() === "" ? "" : "no location";
    const here = plane.place(at);
    const [nearest] = places.map(({ name, at: there }) => ({ name, away: distance(here, plane.place(parse(there))) })).sort((a, b) => a.away - b.away);
    if (!nearest || nearest.away > 1500) return "";
    return nearest.away < 60 ? nearest.name : `near ${nearest.name}`;
  }

  function set(values) {
    for (const [name, value] of Object.entries(values)) {
      if (name === "expedited") fields.expedited.checked = value;
      else fields[name].value = name === "pickup" || name === "dropoff" ? short(value) : value;
    }
    changed();
  }

  function use({ change, times = 1 }) {
    set({ ...usual, ...change });
    send(times);
  }

  async function send(times) {
    submit.disabled = true;
    element.setAttribute("aria-busy", "true");
    fault(null);
    say(answer, "");
    try {
      let id = "";
      for (let i = 0; i < times; i += 1) {
        const varied = times === 1 ? {} : { pickup: places[i % places.length]?.at, dropoff: places[(i + 3) % places.length]?.at };
        pending ??= { key: crypto.randomUUID(), request: content(varied) };
        id = await api.requestDelivery(pending.request, pending.key);
        pending = null;
        if (i === 0) accepted(id);
      }
      say(answer, times === 1 ? "Accepted: the request is stored, the rest follows." : `${times} accepted. The fleet has fewer drones: watch what happens to the rest.`);
    } catch (problem) {
      if (problem.status !== 0 && problem.status < 500) pending = null;
      fault(problem);
    } finally {
      submit.disabled = false;
      element.removeAttribute("aria-busy");
    }
  }

  function content(varied) {
    const from = (seconds) => (seconds === "" ? "" : new Date(Date.now() + Number(seconds) * 1000).toISOString());
    const weight = Number(fields.weight.value.replace(",", "."));
    return {
      ownerId: "page",
      pickupLocation: varied.pickup ?? fields.pickup.value.trim(),
      dropOffLocation: varied.dropoff ?? fields.dropoff.value.trim(),
      pickupTime: from(fields.pickupTime.value),
      deadline: from(fields.deadline.value),
      expedited: fields.expedited.checked,
      confirmationRequired: "None",
      packageInfo: { packageId: crypto.randomUUID(), size: fields.size.value, weight: Number.isFinite(weight) ? weight : 0, tag: "page" },
    };
  }

  function fault(problem) {
    answer.classList.toggle("bad", problem !== null);
    if (problem === null) return;
    const said = problem.reason ? `${reasonInWords(problem.reason)} ` : "";
    fill(answer, icon("failed"), h("span", null, h("b", null, "Not accepted. "), said, asSentence(problem.whole), problem.reason && h("code", null, ` ${problem.reason}`)));
  }

  fill(element, h("h2", { id: "request-title" }, "Request a delivery"), form, h("h3", { class: "tries-title" }, "What to try"), tries);
  aim("pickup");
  set(usual);
  return {
    pick(text) {
      fields[next].value = short(text);
      changed();
      aim(next === "pickup" ? "dropoff" : "pickup");
    },
  };
}

/** A location with as many digits as a person can use; anything else as it is. */
function short(text) {
  const at = parse(text);
  return at ? `${Number(at.lat.toFixed(4))},${Number(at.lon.toFixed(4))}` : text;
}
