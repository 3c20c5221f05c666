// Made from httpapi/openapi.json by types.mjs: do not edit.

/** ActivityMinute is one minute of all definitions that were asked for. */
export interface ActivityMinute {
  /** its beginning */
  at: string;
  compensated: number;
  completed: number;
  /** opened */
  incidents: number;
  /** seconds that completed sagas took, within an eighth; left out without any */
  p50?: number;
  p95?: number;
  started: number;
}

/** ActivityReport is what an engine did in the last three hours of this process. It is no ledger: it begins anew with the process, and knows nothing of other processes. */
export interface ActivityReport {
  /** by name */
  definitions: DefinitionActivity[];
  /** from since to now, oldest first; the last is not over */
  minutes: ActivityMinute[];
  /** nothing from before is counted */
  since: string;
  /** by definition, name and version */
  steps: StepActivity[];
  /** by definition and version */
  versions: VersionActivity[];
}

/** Bulk asks for one verb for many sagas. Each is decided on by itself, and is durable by itself. */
export interface Bulk {
  /** left out where the request's identity says it */
  by?: string;
  /** BulkResult.Next of the answer before, with the same filter */
  cursor?: string;
  /** says what would be asked for, and asks for nothing */
  dry_run?: boolean;
  /** at least one field of it */
  filter: Filter;
  /** sagas looked at, at most 1,000; 100 */
  limit?: number;
  reason: string;
  /** only incidents of this step; not with cancel */
  step?: string;
  /** cancel for the sagas, or retry, skip, done or seen for their open incidents */
  verb: string;
}

/** BulkResult says what became of each saga that was looked at. */
export interface BulkResult {
  /** sagas with outcome done or, in a dry run, would */
  acted: number;
  dry_run: boolean;
  /** sagas for which it did not work, in part or at all */
  failed: number;
  /** sagas with nothing to do */
  left: number;
  next?: string;
  /** oldest first */
  results: BulkSaga[];
}

/** BulkSaga says what became of one saga. */
export interface BulkSaga {
  definition: string;
  /** why nothing was to be done, or what failed and how it is mended */
  detail?: string;
  id: string;
  /** would, done, nothing or failed */
  outcome: string;
  /** before */
  state: "running" | "compensating" | "completed" | "compensated";
  /** whose incidents the verb is for; an empty name is the saga as a whole */
  steps: string[];
}

/** Change is one line of the audit log: who asked for what, when, from where, and what came of it. */
export interface Change {
  /** what they were known by; no secret */
  credential?: string;
  /** the address that the request came from */
  from: string;
  /** in order; it only grows */
  n: number;
  /** of who asked */
  namespace: string;
  /** more of what was done, and the reason that was given */
  note?: string;
  /** what was in the way, if something was */
  problem?: string;
  role: "none" | "reader" | "operator" | "admin";
  /** of the answer; left out while it is not known, for ever if the program died meanwhile */
  status?: number;
  /** such as a saga's id */
  target?: string;
  time: string;
  /** the operation, as the OpenAPI document names it */
  what: string;
  /** left out where nobody is identified */
  who?: string;
}

/** ChangePage is one page of the audit log, the newest line first. */
export interface ChangePage {
  changes: Change[];
  /** pass it as below for the next page; left out on the last */
  next?: number;
}

/** Decision is who decides, and why. Both are kept. */
export interface Decision {
  /** left out where the request's identity says it */
  by?: string;
  /** why, for those who read the journal later */
  reason: string;
}

/** Definition is a definition as the engine runs it, with its graph. Durations are in seconds. */
export interface Definition {
  /** seconds; left out without one */
  deadline?: number;
  /** lazy or strict */
  durability: string;
  edges: Edge[];
  /** Mermaid flow chart */
  flow: string;
  /** seconds until slowness is an incident; left out if it never is */
  incident_after?: number;
  /** shape of the saga's input, see docs/design.md */
  input: string;
  /** a start without a version gets this one */
  latest: boolean;
  name: string;
  remedies: Remedy[];
  revision?: string;
  /** Mermaid sequence diagram of the happy path */
  sequence: string;
  /** each behind all that it follows */
  steps: DefinitionStep[];
  version: string;
}

/** DefinitionActivity is the sum of a definition's minutes, over all its versions. */
export interface DefinitionActivity {
  compensated: number;
  completed: number;
  /** opened */
  incidents: number;
  name: string;
  /** seconds that completed sagas took, within an eighth; left out without any */
  p50?: number;
  p95?: number;
  started: number;
}

/** DefinitionPage is all definitions, without their steps. */
export interface DefinitionPage {
  definitions: DefinitionSummary[];
}

/** DefinitionStep is one step of a definition: an operation, and when and how it is asked for. */
export interface DefinitionStep {
  /** the operation */
  action: string;
  /** steps that it follows directly */
  after: string[];
  /** the operation that undoes it */
  compensation?: string;
  compensation_retry?: Retry;
  /** seconds, over all attempts; left out without one */
  deadline?: number;
  events: Events;
  /** shapes of the payloads */
  input: string;
  /** compensatable, pivot, retriable or readonly */
  kind: string;
  /** what the participant promises: L0, L1 or L2; left out if it was not said */
  level?: string;
  name: string;
  output: string;
  participant: string;
  /** steps whose results make its input */
  reads: string[];
  /** reason codes that the operation declares */
  reasons: string[];
  retry: Retry;
  /** of kind readonly: the participant stores its answers */
  stored: boolean;
  /** every record of it is waited for */
  strict: boolean;
  /** seconds, of one call */
  timeout: number;
}

/** DefinitionSummary names one version of a definition. */
export interface DefinitionSummary {
  /** a start without a version gets this one */
  latest: boolean;
  name: string;
  steps: number;
  version: string;
}

/** Delivery is one message for one endpoint. */
export interface Delivery {
  attempts: number;
  /** what was in the way of the last attempt */
  error?: string;
  /** of the message, the same in every attempt (header Webhook-Id) */
  id: string;
  /** when the saga's end was seen */
  made: string;
  /** when the next attempt is due, of one that waits */
  next?: string;
  saga: string;
  state: "waiting" | "delivered" | "given-up";
  /** HTTP status of the last attempt; left out if there was no answer */
  status?: number;
  /** when the last attempt was, of one that does not wait */
  tried?: string;
  /** the endpoint's name */
  webhook: string;
}

/** DeliveryPage is one page of deliveries, the newest first. */
export interface DeliveryPage {
  deliveries: Delivery[];
  /** cursor of the next page; left out on the last */
  next?: string;
}

/** Edge says that a step follows another. */
export interface Edge {
  /** To reads From's result */
  data: boolean;
  from: string;
  to: string;
}

/** Event is one entry of a saga's journal. Which fields are there depends on its kind; docs/journal-format.md says what each means. */
export interface Event {
  /** of the next attempt, or the saga's deadline */
  at?: string;
  attempt?: number;
  by?: string;
  definition?: string;
  detail?: string;
  /** tenure of the coordinator that wrote it */
  epoch?: number;
  key?: string;
  /** such as saga_started, step_done, compensation_done, incident_opened */
  kind: string;
  mode?: "orchestrated" | "choreographed";
  /** the saga's input, a step's result or an operator's replaced input */
  payload?: unknown;
  reason?: string;
  /** from 1 */
  seq: number;
  step?: string;
  time: string;
  /** W3C traceparent */
  trace?: string;
  verb?: string;
  version?: string;
}

/** EventPage is a part of a journal. */
export interface EventPage {
  events: Event[];
  /** pass it as after for what follows; left out when nothing follows yet */
  next?: number;
}

/** Events are the names under which a step's participant publishes what became of it. */
export interface Events {
  failure?: string;
  success?: string;
  undone?: string;
}

/** Failure is what was in the way, and when. */
export interface Failure {
  at?: string;
  description?: string;
  reason: string;
}

/** Fault is one thing that is wrong with a request. */
export interface Fault {
  /** what is wrong, and the mend */
  detail: string;
  /** such as "body /filter/states", "body line 2, column 7", "query limit", "header Idempotency-Key" */
  place: string;
}

/** Filter selects sagas. A field that is left out selects everything; in a request, one that is given and empty is refused. */
export interface Filter {
  definition?: string;
  id?: string;
  /** only sagas with an open incident */
  incident?: boolean;
  /** reason code of the oldest open incident */
  incident_reason?: string;
  /** business key */
  key?: string;
  mode?: "orchestrated" | "choreographed";
  /** reason code of turning back */
  reason?: string;
  /** at or after */
  started_after?: string;
  started_before?: string;
  /** any of them */
  states?: ("running" | "compensating" | "completed" | "compensated")[];
  /** the step with the oldest open incident; without one, the step it is at, or the cause of turning back */
  step?: string;
  /** only sagas without an outcome */
  unended?: boolean;
  version?: string;
}

/** Health is the answer of /livez and /readyz. */
export interface Health {
  /** what is in the way, and the mend */
  faults: string[];
  /** ok or failing */
  status: string;
}

/** Incident is something that needs help. */
export interface Incident {
  detail?: string;
  reason: string;
  since: string;
  /** left out: the saga as a whole */
  step?: string;
}

/** IncidentCount counts the sagas of a definition whose oldest open incident has a reason code. */
export interface IncidentCount {
  definition: string;
  reason: string;
  sagas: number;
}

/** Key is what is known of an API key. */
export interface Key {
  created: string;
  created_by?: string;
  /** left out if it does not */
  expires?: string;
  /** the key begins with skald_ and this */
  id: string;
  /** whose it is: who decided, in journals and in the audit log */
  name: string;
  namespace: string;
  /** the id of the key that it was rotated from */
  replaces?: string;
  /** left out if it is not; may lie ahead, after a rotation */
  revoked?: string;
  /** reader, operator or admin */
  role: "none" | "reader" | "operator" | "admin";
  /** it opens something now */
  valid: boolean;
}

/** KeyPage is all keys that the one who asks may see. */
export interface KeyPage {
  keys: Key[];
}

/** Letter is a dead letter: a message of a choreographed saga that was set aside. */
export interface Letter {
  /** when it was set aside */
  at: string;
  /** how often it was handed out */
  count: number;
  /** words for a person */
  description?: string;
  /** the first time that it was not handled */
  first: Failure;
  id: string;
  last: Failure;
  /** of the reason code, as the definition says */
  meaning?: string;
  /** as it was published; left out in lists */
  message?: Message;
  /** who settled it, and why */
  note?: string;
  /** reason code */
  reason: string;
  /** what is done about it by itself: compensate, replay or go_on; left out if a person has to decide */
  remedy?: string;
  replays: number;
  saga?: string;
  /** left out while it waits */
  settled?: string;
  /** it waits, and its saga has ended: a replay is refused; left out in lists */
  stale?: boolean;
  /** waiting, replayed, discarded or remedied */
  state: "waiting" | "replayed" | "discarded" | "remedied";
  step?: string;
  subscription: string;
  topic: string;
  /** of the message */
  type?: string;
}

/** LetterPage is one page of dead letters, in the order in which they were last set aside or settled. */
export interface LetterPage {
  /** on the last page: a cursor to ask later for what was set aside or settled since */
  end?: string;
  letters: Letter[];
  /** cursor of the next page; left out on the last */
  next?: string;
}

/** MadeKey is a new key with its secret, which is said once and kept nowhere. */
export interface MadeKey {
  key: Key;
  /** the key itself, as it is sent */
  secret: string;
}

/** MadeWebhook is an endpoint with its secret, if that is new: it is said once. */
export interface MadeWebhook {
  /** as the Standard Webhooks specification writes it; left out if the endpoint keeps the one that it has */
  secret?: string;
  webhook: Webhook;
}

/** Message is a message as it was published. Of one that cannot be read there are only headers, data and key. */
export interface Message {
  attempt?: number;
  /** the id of the message that led to this one */
  cause?: string;
  content_type?: string;
  /** if it is JSON */
  data?: unknown;
  /** if it is neither */
  data_base64?: string;
  /** if it is other text */
  data_text?: string;
  expires?: string;
  headers?: Record<string, string>;
  id?: string;
  /** its place on the topic */
  key: string;
  source?: string;
  time?: string;
  /** W3C traceparent */
  trace?: string;
}

/** NewKey asks for a key. */
export interface NewKey {
  /** never, unless said */
  expires?: string;
  /** whose it is */
  name: string;
  /** that of the one who asks, unless said */
  namespace?: string;
  role: "none" | "reader" | "operator" | "admin";
}

/** Participant is a service that owns operations, as far as the engine knows it. */
export interface Participant {
  /** closed, or open: it failed too often in a row and is left alone for a moment */
  breaker: string;
  /** the engine has a way to call it; otherwise it takes part by itself, over the broker */
  called: boolean;
  /** that ask for them */
  definitions: string[];
  /** its address is in the registry, and can be changed there */
  entered: boolean;
  /** what it promises: L0, L1 or L2; left out if it was not said */
  level?: string;
  name: string;
  /** that registered definitions ask for, compensations among them */
  operations: string[];
  /** seconds, of one call; left out if only the steps' own count */
  timeout?: number;
  /** of one that is entered: where it is called */
  url?: string;
}

/** ParticipantAddress says where a participant is called, and what it promises. */
export interface ParticipantAddress {
  /** L2 if it writes key, answer and change in one transaction, L1 behind a sidecar, otherwise L0 */
  level: string;
  /** seconds, of one call, beside the steps' own; 30 unless said */
  timeout?: number;
  /** such as http://127.0.0.1:9001; left out for one that only takes part over the broker, in choreographed sagas; definitions name it only where sagas are choreographed unless said otherwise */
  url?: string;
}

/** ParticipantPage is all participants, by name. */
export interface ParticipantPage {
  participants: Participant[];
}

/** Problem is an RFC 9457 problem document: every answer that is no success. As an error of a Client it wraps the error of package skald that it stands for, such as skald.ErrNotFound or a *skald.OverloadError. */
export interface Problem {
  /** what is the matter here, and how it is mended */
  detail: string;
  /** each thing that is wrong with the request, where there are several or the place matters */
  errors?: Fault[];
  /** the path that was asked for */
  instance?: string;
  /** seconds; with 503, as in the header Retry-After */
  retry_after?: number;
  /** the least role that it takes; with 403, if that is what is missing */
  role?: string;
  /** the HTTP status */
  status: number;
  /** what the type means */
  title: string;
  /** a name, not an address: urn:skald:problem: and a word that stays */
  type: string;
}

/** Remedy says what becomes of a step that ends with a reason code. */
export interface Remedy {
  /** of replay: how often */
  budget?: number;
  /** compensate, replay or go_on */
  does: string;
  meaning: string;
  /** seconds, of replay: before each */
  pause?: number;
  reason: string;
}

/** Resolution is an operator's decision about an incident. */
export interface Resolution {
  /** left out where the request's identity says it */
  by?: string;
  /** the new input of replace, the result of done */
  payload?: unknown;
  reason: string;
  /** left out: the saga as a whole */
  step?: string;
  /** retry, replace, skip, done or seen */
  verb: string;
}

/** RetriedDeliveries says how many deliveries are made again. */
export interface RetriedDeliveries {
  deliveries: number;
}

/** Retry says when a call with an unknown result is made again. Durations are in seconds. */
export interface Retry {
  /** 0: no limit */
  attempts: number;
  cap: number;
  factor: number;
  initial: number;
  jitter: number;
}

/** Rotation asks for a key, or for a webhook's secret, that takes another one's place. */
export interface Rotation {
  /** seconds for which the old one goes on working, at most 30 days; none */
  overlap?: number;
}

/** Saga is how far a saga is: what is durable of it. */
export interface Saga {
  /** the step that turned it back */
  cause?: string;
  deadline?: string;
  definition: string;
  /** left out while it runs */
  ended?: string;
  id: string;
  /** open ones */
  incidents: Incident[];
  /** any JSON */
  input: unknown;
  /** business key */
  key?: string;
  mode: "orchestrated" | "choreographed";
  /** the reason code of turning back */
  reason?: string;
  /** of the journal's last event */
  seq: number;
  started: string;
  state: "running" | "compensating" | "completed" | "compensated";
  /** in the order of the definition, or of the journal if it is not registered */
  steps: Step[];
  updated: string;
  version: string;
}

/** SagaPage is one page of a list. */
export interface SagaPage {
  /** cursor of the next page; left out on the last */
  next?: string;
  sagas: Summary[];
}

/** Session says who asks, and what that may do. */
export interface Session {
  /** false: nobody is asked who they are here */
  guarded: boolean;
  name: string;
  /** the one that is seen; * for all */
  namespace: string;
  /** reader, operator or admin */
  role: "none" | "reader" | "operator" | "admin";
  /** a session can be begun here */
  sessions: boolean;
}

/** SignIn is a credential to begin a session with. */
export interface SignIn {
  /** an API key or a token */
  credential: string;
}

/** Started is the answer to a start. */
export interface Started {
  /** it had been started before, with the same input */
  existed: boolean;
  id: string;
  /** once it has its outcome, when that was waited for */
  saga?: Saga;
}

/** StateCount counts the sagas of a version of a definition in a state and a mode. */
export interface StateCount {
  definition: string;
  mode: "orchestrated" | "choreographed";
  sagas: number;
  state: "running" | "compensating" | "completed" | "compensated";
  version: string;
}

/** Statistics says what is under way now. Sagas and participants of other namespaces are left out, but in_flight, active, backlog and waiting_calls are about the whole engine. All but in_flight, active, backlog and waiting_calls is counted in the store, at most once a second. */
export interface Statistics {
  /** of those, orchestrated ones that do not sleep until a retry */
  active: number;
  /** sagas whose records wait for a commit */
  backlog: number;
  /** false: there are more, and only the oldest 10,000 were counted */
  complete: boolean;
  /** when */
  counted: string;
  /** sagas whose journals are damaged: restore them from a backup */
  damaged: string[];
  /** sagas without an outcome that the engine has in memory */
  in_flight: number;
  /** by the reason code of the oldest */
  incident_codes: IncidentCount[];
  /** sagas with an open incident, also ended ones */
  incidents: number;
  /** participants that are left alone for a moment */
  open_breakers: string[];
  /** of sagas without an outcome */
  states: StateCount[];
  /** the disk has no room: starts are refused */
  store_full: boolean;
  /** calls that wait for room */
  waiting_calls: number;
}

/** Step is how far a step is. */
export interface Step {
  /** the operation */
  action?: string;
  /** first */
  asked?: string;
  /** made or under way; of the compensation, while that is asked for */
  attempt: number;
  /** who that was */
  by?: string;
  /** an operator ended it */
  by_hand: boolean;
  /** words for a person */
  detail?: string;
  /** what a step that waits for help was called with, if it can be told: to be mended and given with replace */
  input?: unknown;
  /** compensatable, pivot, retriable or readonly; left out if the definition is not registered */
  kind?: string;
  /** what the participant promises: L0, L1 or L2 */
  level?: string;
  name: string;
  /** of the next attempt, while retrying */
  next?: string;
  /** reason code of a refusal, a failure or the last unknown result */
  reason?: string;
  /** any JSON */
  result?: unknown;
  /** of the action */
  settled?: string;
  /** waiting, running, retrying, done, refused, failed, skipped, undoing, undo_retrying, undone or left */
  state: string;
  undone?: string;
}

/** StepActivity is how a step of one version of a definition went. */
export interface StepActivity {
  asked: number;
  definition: string;
  done: number;
  /** given up with the effect unknown */
  failed: number;
  name: string;
  /** seconds from the first call to the result, retries included, within an eighth; left out without any */
  p50?: number;
  p95?: number;
  refused: number;
  /** attempts without a clear answer, of actions and compensations */
  retries: number;
  /** compensations that came to their end */
  undone: number;
  version: string;
}

/** Summary is what lists show of a saga. */
export interface Summary {
  definition: string;
  ended?: string;
  id: string;
  /** reason code of the oldest open incident */
  incident?: string;
  key?: string;
  mode: "orchestrated" | "choreographed";
  /** reason code of turning back */
  reason?: string;
  seq: number;
  started: string;
  state: "running" | "compensating" | "completed" | "compensated";
  /** the step with the oldest open incident; without one, the step it is at, or the cause of turning back */
  step?: string;
  updated: string;
  version: string;
}

/** VersionActivity is the sum of the minutes of one version of a definition: how a new one goes, beside the one before. */
export interface VersionActivity {
  compensated: number;
  completed: number;
  definition: string;
  /** opened */
  incidents: number;
  /** seconds that completed sagas took, within an eighth; left out without any */
  p50?: number;
  p95?: number;
  started: number;
  version: string;
}

/** Webhook is an endpoint that is told how sagas ended. */
export interface Webhook {
  created: string;
  created_by?: string;
  /** those whose sagas it is told of; none: only of sagas that were started with it */
  definitions: string[];
  /** deliveries that were given up */
  given_up: number;
  /** where its deliveries go */
  host: string;
  name: string;
  /** until when the one before signs, too; left out if it does not */
  old_secret_until?: string;
  /** when the secret was made that signs */
  secret_since: string;
  /** shown to admins only: it may have a token in it */
  url?: string;
  /** deliveries to be made */
  waiting: number;
}

/** WebhookAddress says where an endpoint is, and what it is told of. */
export interface WebhookAddress {
  /** of its own namespace; none: only of sagas that are started with it */
  definitions?: string[];
  url: string;
}

/** WebhookPage is all endpoints that the one who asks may see, by name. */
export interface WebhookPage {
  webhooks: Webhook[];
}
