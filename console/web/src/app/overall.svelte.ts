// How the whole is, for the navigation and whatever counts: asked for once for all pages.
import { createContext } from "svelte";
import type { Statistics } from "../api/schema";
import type { Polled } from "./poll.svelte";

export const [overall, setOverall] = createContext<Polled<Statistics>>();
