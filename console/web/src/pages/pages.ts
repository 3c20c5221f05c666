// The pages there are, and which one an address means.
import type { Component } from "svelte";
import Incidents from "./Incidents.svelte";
import Nowhere from "./Nowhere.svelte";
import Saga from "./Saga.svelte";
import Sagas from "./Sagas.svelte";

export interface Section {
  path: string;
  name: string;
  icon: string;
  all: Component;
  one?: Component<{ id: string }>;
}

export const sections: Section[] = [
  { path: "incidents", name: "Incidents", icon: "incident", all: Incidents },
  { path: "sagas", name: "Sagas", icon: "sagas", all: Sagas, one: Saga },
];

export interface Page {
  section: Section;
  component: Component<{ id: string }> | Component;
  given: { id: string };
}

/** pageOf is the page of a path: a section, one thing in it, or nowhere. */
export function pageOf([section = "", id = "", ...more]: string[]): Page {
  const found = section === "" ? sections[0] : sections.find((s) => s.path === section);
  if (found === undefined || more.length > 0 || (id !== "" && found.one === undefined)) return { section: sections[0]!, component: Nowhere, given: { id: "" } };
  return { section: found, component: id === "" ? found.all : found.one!, given: { id } };
}
