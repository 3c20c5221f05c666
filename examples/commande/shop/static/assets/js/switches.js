// The panel "Make it fail": one failure switch per operation of every service. The drone system's page has it too, so what differs is given: the page's own api.js and words.js.
import { fill, freshId, h, icon, say } from "./dom.js";
import { count as counted } from "./format.js";

const usualNumbers = { count: 3, delay_ms: 3000 };

/** The drawer in `dialog`, opened by `button`; `badge` shows how many switches are on; `watch` says whom to watch. `open()` opens it. */
export function switchPanel({ dialog, button, badge, watch, api, words }) {
  const groups = h("div", { class: "switch-groups", "aria-busy": "true" });
  const status = h("p", { class: "small", role: "status" });
  const reset = h("button", { type: "button", class: "button slim", "data-testid": "switches-reset", onclick: resetAll }, "Reset all");
  const close = h("button", { type: "button", class: "button plain slim", "data-testid": "switches-close", onclick: shut }, icon("close"), h("span", { class: "visually-hidden" }, "Close"));
  const bySaga = (a, b) => words.placeInSaga(a.operation) - words.placeInSaga(b.operation);
  let rows = [];

  fill(dialog,
    h("div", { class: "drawer-head" }, h("h2", { id: "switches-title", tabindex: "-1" }, "Make it fail"), close),
    h("p", { class: "quiet small drawer-lead" }, `Each switch changes how one operation behaves from its next call on. Watch what ${watch} about it.`),
    h("div", { class: "drawer-bar" }, status, reset), groups);

  async function load() {
    try {
      draw(await api.switches());
    } catch (problem) {
      if (dialog.open) {
        rows = [];
        fill(groups, h("div", { class: "notice bad", role: "alert" }, icon("offline"),
          h("p", { class: "notice-text" }, h("b", null, "The switches cannot be read. "), problem.message),
          h("button", { type: "button", class: "button slim", onclick: load }, "Try again")));
      }
    } finally {
      groups.setAttribute("aria-busy", "false");
    }
  }

  function draw(list) {
    if (rows.length !== list.length || list.some(({ operation }, i) => rows[i].operation !== operation)) {
      rows = list.map((setting) => switchRow(setting, words, set));
      const services = [...new Set([...list].sort(bySaga).map(({ service }) => service))];
      fill(groups, services.map((service) => group(words.serviceWords[service], service, rows.filter((row) => row.service === service).sort(bySaga))));
    }
    list.forEach((setting, i) => rows[i].show(setting));
    const on = list.filter(({ mode }) => mode !== "off").length;
    say(status, on === 0 ? "All operations work normally." : `${counted(on, "operation")} made to fail.`);
    say(badge, String(on));
    badge.hidden = on === 0;
    reset.disabled = on === 0;
  }

  async function set(row, setting) {
    try {
      await api.setSwitch(row.operation, setting);
      await load();
    } catch (problem) {
      row.fault([problem.message, ...(problem.faults ?? []).map((fault) => fault.detail)].filter(Boolean).join(" "));
    }
  }

  async function resetAll() {
    try {
      await api.resetSwitches();
      await load();
    } catch (problem) {
      say(status, `Not reset: ${problem.message}`);
    }
  }

  function open() {
    if (dialog.open) return;
    // Beside the page on a wide screen, so the saga stays in view and in reach; over it on a phone.
    if (matchMedia("(max-width: 700px)").matches) dialog.showModal();
    else dialog.show();
    button.setAttribute("aria-expanded", "true");
    dialog.querySelector("h2").focus();
    load();
  }

  function shut() {
    dialog.close();
  }

  button.addEventListener("click", () => (dialog.open ? shut() : open()));
  dialog.addEventListener("close", () => {
    button.setAttribute("aria-expanded", "false");
    button.focus();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape") shut();
  });
  load();
  return { open, refresh: load };
}

function group(title, service, rows) {
  const id = freshId("service");
  return h("section", { class: "switch-group", "aria-labelledby": id },
    h("h3", { id }, title ?? service, " ", h("code", { class: "quiet" }, service)),
    h("ul", null, rows.map((row) => row.element)));
}

function switchRow({ service, operation }, { isUndo, switchModes, titleOf }, set) {
  const id = freshId("switch");
  const mode = h("select", { id, "data-testid": `switch-${operation}`, onchange: () => send(usualNumbers) },
    switchModes.map(({ mode: value, title }) => h("option", { value }, title)));
  const number = h("input", { type: "number", min: "1", step: "1", id: `${id}-number`, "data-testid": `switch-${operation}-number`, onchange: () => send({ count: wanted(), delay_ms: wanted() }) });
  const unit = h("label", { for: `${id}-number` });
  const extra = h("div", { class: "switch-extra", hidden: true }, number, unit);
  const note = h("p", { class: "fault", role: "alert", hidden: true });
  const element = h("li", { class: "switch", "data-mode": "off" },
    h("label", { for: id }, titleOf(operation), isUndo(operation) && h("span", { class: "undo-tag" }, "way back"), h("code", null, operation)),
    mode, extra, note);
  const row = { service, operation, element, show, fault };

  const wanted = () => Math.max(1, Math.trunc(Number(number.value)) || 1);

  function send(numbers) {
    const kind = switchModes.find((known) => known.mode === mode.value)?.extra;
    note.hidden = true;
    set(row, { mode: mode.value, count: kind === "count" ? numbers.count : 0, delay_ms: kind === "delay_ms" ? numbers.delay_ms : 0 });
  }

  function show(setting) {
    const kind = switchModes.find((known) => known.mode === setting.mode)?.extra;
    element.dataset.mode = setting.mode;
    if (mode.value !== setting.mode) mode.value = setting.mode;
    extra.hidden = !kind;
    if (kind && document.activeElement !== number) number.value = String(setting[kind] ?? 0);
    unit.textContent = kind === "delay_ms" ? "milliseconds" : "more calls";
  }

  function fault(detail) {
    note.textContent = detail;
    note.hidden = false;
  }

  return row;
}
