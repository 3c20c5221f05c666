// The page: the city, the request, the deliveries, and what became of failures.
import { fill, h, icon, say } from "../../shop/assets/js/dom.js";
import { switchPanel } from "../../shop/assets/js/switches.js";
import * as api from "./api.js";
import { deliveryDetail } from "./detail.js";
import { fleetList } from "./fleet.js";
import { deadLetterPanel } from "./letters.js";
import { deliveryList } from "./list.js";
import { cityMap } from "./map.js";
import { outsiderPanel } from "./outsider.js";
import { requestForm } from "./request.js";
import { follow } from "./stream.js";
import * as words from "./words.js";

const part = (id) => document.getElementById(id);
const lookEvery = 2500; // milliseconds between looks at dead letters and at the outsider, while the page is in view
const retryEvery = 3000;

const detail = deliveryDetail(part("detail"));
const list = deliveryList(part("list"), { onSelect: select });
const fleet = fleetList(part("fleet"), { onSelect: select });
const letters = deadLetterPanel(part("letters"), { onSelect: lead });
const outsider = outsiderPanel(part("outsider"), { onSelect: lead });
const panel = switchPanel({ dialog: part("switches"), button: part("switches-open"), badge: part("switches-count"), watch: "the others do", api, words });
const known = { fleet: [], deliveries: null };
let map = null;
let selected = "";

/** Shows a delivery everywhere; its address can be kept. */
function select(id) {
  selected = id;
  history.replaceState(null, "", id ? `#${encodeURIComponent(id)}` : location.pathname + location.search);
  list.select(id);
  detail.select(id);
  detail.show(known.deliveries ?? []);
  map?.select(id);
}

/** Selects a delivery from further down the page. */
function lead(id) {
  select(id);
  part("detail").scrollIntoView({ block: "nearest" });
  detail.focus();
}

function showFleet(now) {
  known.fleet = now;
  fleet.show(now);
  map?.showFleet(now);
}

function showDeliveries(now) {
  known.deliveries = now;
  list.show(now);
  if (!selected && now.length > 0) select(now[0].id);
  detail.show(now);
  map?.showDeliveries(now);
}

function showConnection(state) {
  const element = part("connection");
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  const text = { connecting: "Connecting…", live: "Live", reconnecting: "Connection lost, trying again…" };
  fill(element, state === "reconnecting" ? icon("retrying") : h("span", { class: "pulse" }), text[state]);
}

/** Draws the city as soon as the server says what it is. */
async function begin() {
  try {
    const [area, services] = await Promise.all([api.area(), api.services()]);
    say(part("services"), words.servicesInWords(services));
    part("services").hidden = false;
    const form = requestForm(part("request"), area, { accepted, onDraft: (request) => map?.showDraft(request) });
    map = cityMap(part("map"), area, { onPick: form.pick, onSelect: select });
    part("map").setAttribute("aria-busy", "false");
    map.showFleet(known.fleet);
    map.showDeliveries(known.deliveries ?? []);
    map.select(selected);
  } catch (problem) {
    fill(part("map"), h("div", { class: "notice bad", role: "alert" }, icon("offline"), h("p", { class: "notice-text" }, h("b", null, "The city cannot be drawn. "), problem.message)));
    setTimeout(begin, retryEvery);
  }
}

function accepted(id) {
  select(id);
  stream.refresh();
}

function look() {
  if (document.hidden) return;
  letters.refresh();
  outsider.refresh();
  panel.refresh();
}

/** The delivery that the address names, or "". */
const named = () => decodeURIComponent(location.hash.slice(1)).match(/^[0-9a-f]{8}-[0-9a-f-]{4,60}$/i)?.[0] ?? "";

showConnection("connecting");
select(named());
const stream = follow({ onFleet: showFleet, onDeliveries: showDeliveries, onConnection: showConnection });
begin();
look();
setInterval(look, lookEvery);
document.addEventListener("visibilitychange", look);
addEventListener("hashchange", () => named() && select(named()));
