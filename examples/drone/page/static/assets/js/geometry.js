// From degrees to metres on a plane and back, and the shapes that lines make. Pure functions.

const metresPerDegree = 111195;

/** "lat,lon" as {lat, lon}, or null if it is no location. */
export function parse(text) {
  const match = /^\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*$/.exec(text ?? "");
  if (!match) return null;
  const [lat, lon] = [Number(match[1]), Number(match[2])];
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? { lat, lon } : null;
}

/** {lat, lon} as the wire has it, to about 10 m. */
export const format = ({ lat, lon }) => `${lat.toFixed(4)},${lon.toFixed(4)}`;

/** A projection around a centre: metres to the east and to the south, near enough for a city. */
export function projection(centre) {
  const squeeze = Math.cos((centre.lat * Math.PI) / 180);
  return {
    place: ({ lat, lon }) => ({ x: (lon - centre.lon) * metresPerDegree * squeeze, y: (centre.lat - lat) * metresPerDegree }),
    degrees: ({ x, y }) => ({ lat: centre.lat - y / metresPerDegree, lon: centre.lon + x / (metresPerDegree * squeeze) }),
  };
}

/** Metres between two places of the plane. */
export const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);

/** The smallest box around places, with a margin as a part of its size. */
export function boxAround(places, margin) {
  const [xs, ys] = [places.map(({ x }) => x), places.map(({ y }) => y)];
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const [width, height] = [Math.max(...xs) - left, Math.max(...ys) - top];
  return { left: left - width * margin, top: top - height * margin, width: width * (1 + 2 * margin), height: height * (1 + 2 * margin) };
}

/** Whether a place lies in a box. */
export const within = (box, { x, y }) => x >= box.left && x <= box.left + box.width && y >= box.top && y <= box.top + box.height;

/** The box, made wider or higher until it has the form of the window. */
export function fit(box, aspect) {
  const width = Math.max(box.width, box.height * aspect);
  const height = width / aspect;
  return { left: box.left - (width - box.width) / 2, top: box.top - (height - box.height) / 2, width, height };
}

const round = (n) => Math.round(n * 10) / 10;
const at = ({ x, y }) => `${round(x)} ${round(y)}`;

/** A smooth line through places (Catmull-Rom), as the data of a path. */
export function smooth(places, closed = false) {
  const point = (i) => (closed ? places[(i + places.length) % places.length] : places[Math.min(Math.max(i, 0), places.length - 1)]);
  let path = `M${at(places[0])}`;
  for (let i = 0; i < places.length - (closed ? 0 : 1); i += 1) {
    const [before, from, to, after] = [point(i - 1), point(i), point(i + 1), point(i + 2)];
    const first = { x: from.x + (to.x - before.x) / 6, y: from.y + (to.y - before.y) / 6 };
    const second = { x: to.x - (after.x - from.x) / 6, y: to.y - (after.y - from.y) / 6 };
    path += `C${at(first)} ${at(second)} ${at(to)}`;
  }
  return closed ? `${path}Z` : path;
}

/** Straight lines through places, as the data of a path. */
export const straight = (places) => places.map((place, i) => `${i === 0 ? "M" : "L"}${at(place)}`).join("");
