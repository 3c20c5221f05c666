// Building elements without ever parsing data as HTML: every piece of text becomes a text node.

/**
 * Makes an element. Properties that start with "on" become listeners, "class" and "data-…"/"aria-…" and the like become
 * attributes, null, undefined and false are left out, true is an empty attribute.
 */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Replaces what a node holds. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets text only when it differs, so that a live region speaks only about news. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const svgNamespace = "http://www.w3.org/2000/svg";

/** The strokes of every icon, on a 24 by 24 grid. Each state of a step has a shape of its own. */
const strokes = {
  waiting: ["M12 5v0", "M19 12v0", "M12 19v0", "M5 12v0"],
  running: ["M12 4a8 8 0 1 1-8 8"],
  retrying: ["M19 9a7.5 7.5 0 1 0 .5 5", "M19.5 4v5h-5"],
  done: ["m5 12.5 4.5 4.5L19 7"],
  refused: ["M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17", "M7.5 12h9"],
  failed: ["M6.5 6.5l11 11", "M17.5 6.5l-11 11"],
  skipped: ["M5 7l5 5-5 5", "M13 7l5 5-5 5"],
  undoing: ["M9 6 4 11l5 5", "M4 11h9a6 6 0 0 1 6 6v1"],
  undone: ["M8.5 5 5 8.5 8.5 12", "M5 8.5h8.5a4.75 4.75 0 0 1 0 9.5H7"],
  left: ["M12 4 3 19.5h18z", "M12 10v4", "M12 17v0"],
  incident: ["M12 4 3 19.5h18z", "M12 10v4", "M12 17v0"],
  back: ["M19 12H6", "m11 6-6 6 6 6"],
  bag: ["M5 8h14l-1 12H6z", "M9 8a3 3 0 0 1 6 0"],
  plus: ["M12 5v14", "M5 12h14"],
  minus: ["M5 12h14"],
  close: ["M6 6l12 12", "M18 6 6 18"],
  file: ["M7 3h7l5 5v13H7z", "M14 3v5h5"],
  offline: ["M4 4l16 16", "M8.5 15.5a5 5 0 0 1 7 0", "M5 12a10 10 0 0 1 4-2.5", "M14.5 9.3A10 10 0 0 1 19 12", "M12 19v0"],
};

/** A decorative icon: the words beside it carry the meaning, so it is hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(svgNamespace, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("fill", "none");
  svg.setAttribute("stroke", "currentColor");
  svg.setAttribute("stroke-width", "2.4");
  svg.setAttribute("stroke-linecap", "round");
  svg.setAttribute("stroke-linejoin", "round");
  for (const d of strokes[name] ?? strokes.waiting) {
    const path = document.createElementNS(svgNamespace, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

let serial = 0;

/** An id no other element has, for labels and descriptions. */
export function freshId(prefix) {
  serial += 1;
  return `${prefix}-${serial}`;
}
