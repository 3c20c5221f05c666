// What the pages ask of the API, by name.
import { get, post, put, remove } from "./http";
import type {
  ActivityReport, BulkResult, ChangePage, Definition, DefinitionPage, Delivery, DeliveryPage, EventPage, Event, Filter, Letter, LetterPage, MadeWebhook, ParticipantPage, RetriedDeliveries, Saga, SagaPage,
  Session, Statistics, Webhook, WebhookAddress, WebhookPage,
} from "./schema";

/** Who decides, and why. Both stay in the journal. */
export interface Decision {
  by: string;
  reason: string;
}

export type Verb = "retry" | "replace" | "skip" | "done" | "seen";

const saga = (id: string) => `/v1/sagas/${encodeURIComponent(id)}`;
const letter = (id: string) => `/v1/dead-letters/${encodeURIComponent(id)}`;
const webhook = (name: string) => `/v1/webhooks/${encodeURIComponent(name)}`;
const delivery = (id: string) => `/v1/deliveries/${encodeURIComponent(id)}`;

/** The query of a filter: the API writes a list's states as repeated "state". */
export function queryOf({ states, ...rest }: Filter): Record<string, string | boolean | string[] | undefined> {
  return { ...rest, state: states };
}

export const listSagas = (filter: Filter, page: { cursor?: string; limit?: number; order?: "oldest" | "newest" }, signal?: AbortSignal) =>
  get<SagaPage>("/v1/sagas", { ...queryOf(filter), ...page }, signal);

export const getSaga = (id: string, signal?: AbortSignal) => get<Saga>(saga(id), undefined, signal);

/** The whole journal, up to a bound that no saga reaches in practice. */
export async function listEvents(id: string, signal?: AbortSignal): Promise<Event[]> {
  const all: Event[] = [];
  for (let after: number | undefined = 0; after !== undefined && all.length < 20_000; ) {
    const page: EventPage = await get<EventPage>(`${saga(id)}/events`, { after, limit: 1000 }, signal);
    all.push(...page.events);
    after = page.next;
  }
  return all;
}

export const cancelSaga = (id: string, decision: Decision) => post<Saga>(`${saga(id)}/cancel`, decision);

/** payload is JSON text, sent as it was typed: reading and writing it anew could change a long number. */
export function resolve(id: string, step: string, verb: Verb, decision: Decision, payload?: string): Promise<Saga> {
  const rest = JSON.stringify({ step: step || undefined, verb, ...decision });
  return post<Saga>(`${saga(id)}/resolve`, payload === undefined ? rest : `${rest.slice(0, -1)},"payload":${payload}}`);
}

export interface BulkRequest extends Decision {
  filter: Filter;
  verb: "cancel" | "retry" | "skip" | "done" | "seen";
  step?: string;
  dry_run: boolean;
  limit: number;
  cursor?: string;
}

export const bulk = (request: BulkRequest) => post<BulkResult>("/v1/bulk", request);

export const listLetters = (query: { state?: string; reason?: string; saga?: string; cursor?: string; limit?: number }, signal?: AbortSignal) =>
  get<LetterPage>("/v1/dead-letters", query, signal);
/** The dead letters of a saga in every state: a list is of one state, and of those that wait unless another is named. */
export async function lettersOf(saga: string, signal?: AbortSignal): Promise<Letter[]> {
  const pages = await Promise.all((["waiting", "replayed", "remedied", "discarded"] as const).map((state) => listLetters({ saga, state, limit: 20 }, signal)));
  return pages.flatMap((page) => page.letters).sort((a, b) => a.at.localeCompare(b.at));
}
export const getLetter = (id: string, signal?: AbortSignal) => get<Letter>(letter(id), undefined, signal);
export const settleLetter = (id: string, verb: "replay" | "compensate" | "discard", decision: Decision) => post<Letter>(`${letter(id)}/${verb}`, decision);

export const listDefinitions = (signal?: AbortSignal) => get<DefinitionPage>("/v1/definitions", undefined, signal);
export const getDefinition = (name: string, version?: string, signal?: AbortSignal) => get<Definition>(`/v1/definitions/${encodeURIComponent(name)}`, { version }, signal);
export const listParticipants = (signal?: AbortSignal) => get<ParticipantPage>("/v1/participants", undefined, signal);
export const getActivity = (definition?: string, signal?: AbortSignal) => get<ActivityReport>("/v1/activity", { definition }, signal);
/** The audit log, the newest line first. */
export const listChanges = (query: { who?: string; what?: string; target?: string; below?: number; limit?: number }, signal?: AbortSignal) => get<ChangePage>("/v1/audit", query, signal);

export const listWebhooks = (signal?: AbortSignal) => get<WebhookPage>("/v1/webhooks", undefined, signal);
export const getWebhook = (name: string, signal?: AbortSignal) => get<Webhook>(webhook(name), undefined, signal);
/** An endpoint's secret is in the answer if it is new, and never again. */
export const enterWebhook = (name: string, at: WebhookAddress) => put<MadeWebhook>(webhook(name), at);
/** overlap is how many seconds the secret before signs as well. */
export const rotateWebhook = (name: string, overlap: number) => post<MadeWebhook>(`${webhook(name)}/rotate`, { overlap });
export const removeWebhook = (name: string) => remove(webhook(name));
/** All that an endpoint was not told yet is delivered at once. */
export const retryDeliveries = (name: string) => post<RetriedDeliveries>(`${webhook(name)}/retry`);

export interface DeliveryFilter {
  webhook?: string;
  saga?: string;
  state?: Delivery["state"] | "";
}
export const listDeliveries = (filter: DeliveryFilter, page: { cursor?: string; limit?: number }, signal?: AbortSignal) => get<DeliveryPage>("/v1/deliveries", { ...filter, ...page }, signal);
export const getDelivery = (id: string, signal?: AbortSignal) => get<Delivery>(delivery(id), undefined, signal);
export const retryDelivery = (id: string) => post<Delivery>(`${delivery(id)}/retry`);

export const getSession = () => get<Session>("/v1/session");
export const openSession = (credential: string) => post<Session>("/v1/session", { credential });
export const getStatistics = (signal?: AbortSignal) => get<Statistics>("/v1/statistics", undefined, signal);
