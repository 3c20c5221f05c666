// The pages there are, and which one an address means.
import type { Component } from "svelte";
import Audit from "./Audit.svelte";
import Definition from "./Definition.svelte";
import Definitions from "./Definitions.svelte";
import Incidents from "./Incidents.svelte";
import Letter from "./Letter.svelte";
import Letters from "./Letters.svelte";
import Nowhere from "./Nowhere.svelte";
import Overview from "./Overview.svelte";
import Saga from "./Saga.svelte";
import Sagas from "./Sagas.svelte";
import Webhook from "./Webhook.svelte";
import Webhooks from "./Webhooks.svelte";

export interface Section {
  path: string;
  name: string;
  icon: string;
  all: Component;
  one?: Component<{ id: string }>;
}

export const sections: Section[] = [
  { path: "", name: "Overview", icon: "overview", all: Overview },
  { path: "incidents", name: "Incidents", icon: "incident", all: Incidents },
  { path: "sagas", name: "Sagas", icon: "sagas", all: Sagas, one: Saga },
  { path: "dead-letters", name: "Dead letters", icon: "letters", all: Letters, one: Letter },
  { path: "definitions", name: "Definitions", icon: "definitions", all: Definitions, one: Definition },
  { path: "webhooks", name: "Webhooks", icon: "webhooks", all: Webhooks, one: Webhook },
  { path: "audit", name: "Audit", icon: "person", all: Audit },
];

export interface Page {
  /** Undefined: nowhere. */
  section: Section | undefined;
  component: Component<{ id: string }> | Component;
  given: { id: string };
}

/** pageOf is the page of a path: a section, one thing in it, or nowhere. */
export function pageOf([section = "", id = "", ...more]: string[]): Page {
  const found = sections.find((s) => s.path === section);
  if (found === undefined || more.length > 0 || (id !== "" && found.one === undefined)) return { section: undefined, component: Nowhere, given: { id: "" } };
  return { section: found, component: id === "" ? found.all : found.one!, given: { id } };
}
