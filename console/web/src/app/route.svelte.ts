// Where in the console somebody is: the part of the address after "#". It works under any path and behind any proxy, and every filter is in it, so that a page can be bookmarked and sent to a colleague.

export interface Place {
  /** The path's parts, decoded. */
  path: string[];
  query: URLSearchParams;
}

function read(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand, and no escape after all
  }
}

let place = $state.raw<Place>(read());
addEventListener("hashchange", () => {
  place = read();
});

export const route = {
  get path() {
    return place.path;
  },
  get query() {
    return place.query;
  },
};

/** The address of a place. Values that are empty are left out. */
export function link(path: string[], query: Record<string, string | string[] | undefined> = {}): string {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const v of Array.isArray(value) ? value : [value]) if (v) q.append(name, v);
  }
  const text = q.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

/** go goes to a place. With replace, going back leads past where one is now. */
export function go(to: string, how: { replace?: boolean } = {}): void {
  if (how.replace) {
    history.replaceState(null, "", to);
    place = read();
    return;
  }
  location.hash = to.replace(/^#/, "");
}
