// Building SVG elements, as h() builds those of HTML.

const namespace = "http://www.w3.org/2000/svg";

/** Makes an SVG element with attributes, listeners ("on…") and children; null and false are left out. Text becomes text nodes. */
export function s(tag, props, ...children) {
  const node = document.createElementNS(namespace, tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
