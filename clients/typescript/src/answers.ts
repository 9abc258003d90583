// Fields of requests and answers. Made from the OpenAPI document by docs/generate.py (`make docs`); do not edit.

/** Action map that has been counted. */
export interface ActionMap {
  /** The action map. */
  action_map_id: string;
  /** Its newest known display name. */
  action_map_name: string | null;
}

/** Decision about an offer. */
export interface Decision {
  /** `offered` if the offer is recorded and may be shown. */
  decision: "blocked" | "offered";
  /** The action of the offer; of a blocked one, the action id that the caller sent. */
  action_id: string | null;
  /** Why the offer is blocked. */
  reason: "malformed" | "not_tracked" | "from_the_future" | "too_old" | "conflicting_duplicate" | "offer_refused" | "terminal_state" | "already_open" | "action_over" | "not_legal" | "crowded" | "never_reachable" | null;
  /** State of the blocking action. */
  state: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached" | null;
  /** When the blocking action reached that state. */
  since: string | null;
  /** The blocking action. */
  blocking_action_id: string | null;
}

/** Answer to the question whether a map may offer to a visitor. */
export interface Eligibility {
  /** The offer may be made. */
  eligible: boolean;
  /** An event has been recorded for this visitor and action map. */
  known: boolean;
  /** Why the offer would be blocked. */
  reason: "malformed" | "not_tracked" | "from_the_future" | "too_old" | "conflicting_duplicate" | "offer_refused" | "terminal_state" | "already_open" | "action_over" | "not_legal" | "crowded" | "never_reachable" | null;
  /** State of the blocking action. */
  state: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached" | null;
  /** The blocking action. */
  action_id: string | null;
  /** When the blocking action reached that state. */
  since: string | null;
}

/** Lifecycle event of a visitor-offer. */
export interface HistoryEvent {
  /** Place of the event in the visitor-offer, from 1. */
  version: number;
  /** The state that the action reached. */
  event: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached";
  /** The action. */
  action_id: string;
  /** Stage at which the visitor rejected: `invitation` or `form`. */
  stage: "invitation" | "form" | null;
  /** When it happened. */
  occurred_at: string;
  /** When the service recorded it. */
  recorded_at: string;
  /** The visit. */
  session_id: string;
  /** The widget's error code. */
  error_code: string | null;
  /** The widget's error message. */
  error_message: string | null;
  /** The id that the sender gave the event. */
  event_id: string | null;
  /** Version of the action map. */
  action_map_version: number | null;
  /** Seconds until an unanswered invitation times out. */
  timeout_seconds: number | null;
}

/** Page of a visitor-offer's lifecycle events. */
export interface History {
  /** An event has been recorded for this visitor and action map. */
  known: boolean;
  /** State of the newest action. */
  state: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached" | null;
  /** Number of lifecycle events, of all pages. */
  version: number;
  /** The events of this page, oldest first. */
  events: HistoryEvent[];
  /** Where the next page begins; null on the last page. */
  next_cursor: string | null;
}

/** Result of one signal. */
export interface Outcome {
  /** Recorded, duplicate, parked or refused; `received` to a widget key. */
  outcome: "recorded" | "duplicate" | "parked" | "refused" | "received";
  /** Code of the refusal. */
  reason: "malformed" | "not_tracked" | "from_the_future" | "too_old" | "conflicting_duplicate" | "offer_refused" | "terminal_state" | "already_open" | "action_over" | "not_legal" | "crowded" | "never_reachable" | null;
  /** The signal's action; null where the signal is unreadable. */
  action_id: string | null;
  /** The signal's state; null where the signal is unreadable. */
  state: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached" | "completed" | null;
  /** Wire name of the field at fault, in a malformed signal. */
  field?: string | null;
  /** What is wrong with the signal, for people. */
  cause?: string | null;
}

/** Evidence of the events that a projection has applied. */
export interface Proof {
  /** Name of the projection. */
  projection: string;
  /** Log position of the last event applied. */
  position: number;
  /** Number of events applied. */
  events: number;
  /** Sum of the squares of their positions, in decimal. */
  digest: string;
  /** Events that wait as dead letters and are missing. */
  short_by: number;
}

/** Counts by the vendor's names. */
export interface Metrics {
  /** Actions that were offered; visitors, if visitors are counted. */
  nWebActionsOffered: number;
  /** Accepted. */
  nWebActionsAccepted: number;
  /** Rejected, on the invitation or on the form. */
  nWebActionsRejected: number;
  /** Started. */
  nWebActionsStarted: number;
  /** Abandoned. */
  nWebActionsAbandoned: number;
  /** Engaged. */
  nWebActionsEngaged: number;
  /** Ignored; in the full metric set only. */
  nWebActionsIgnored?: number;
  /** Errored; in the full metric set only. */
  nWebActionsErrored?: number;
  /** Timed out; in the full metric set only. */
  nWebActionsTimedout?: number;
  /** Qualified; in the set of all metrics only, as those that follow. */
  nWebActionsQualified?: number;
  /** Qualified outside the schedule. */
  nWebActionsQualifiedOutsideSchedule?: number;
  /** Withheld, because the offer would be outside the schedule. */
  nWebActionsOfferedOutsideSchedule?: number;
  /** Withheld, because the frequency cap was reached. */
  nWebActionsFrequencyCapReached?: number;
}

/** Rates of an action map in a bucket, not rounded. */
export interface Rates {
  /** Accepted ÷ offered; null where nothing was offered. */
  accepted: number | null;
  /** Engaged ÷ accepted; null where nothing was accepted. */
  engaged: number | null;
}

/** An action map in a bucket of a performance report. */
export interface Row {
  /** The action map. */
  action_map_id: string;
  /** Its newest known display name. */
  action_map_name: string | null;
  /** First instant of the bucket; null for the total. */
  bucket: string | null;
  /** Counts by the vendor's names. */
  metrics: Metrics;
  /** Rates of these counts. */
  rates: Rates;
}

/** Action Map Performance report. */
export interface Performance {
  /** First instant that counts; null for all time. */
  from: string | null;
  /** First instant that does not count any more; null for all time. */
  to: string | null;
  /** IANA name of the zone whose wall time makes the buckets. */
  zone: string;
  /** Size of a bucket. */
  by: string;
  /** The media type of the offers that are counted; left out where it is every one. */
  media_type?: "webchat" | "webMessagingOffer" | "contentOffer";
  /** Events that wait as dead letters and are missing; left out where it is 0. */
  short_by?: number;
  /** Sorted by action map, then by bucket. */
  rows: Row[];
  /** Evidence of the events counted, if it was asked for. */
  proof?: Proof;
}

/** The policy of an action map that is in force. */
export interface PolicyInForce {
  /** The action map. */
  action_map_id: string;
  /** By terminal state, the seconds for which it suppresses the offer; absent: for ever. */
  suppress_for: Record<string, number>;
}

/** Error as problem details (RFC 9457). */
export interface Problem {
  /** Relative reference that names the kind of problem; it never changes. */
  type: "/problems/malformed-request" | "/problems/unauthorized" | "/problems/forbidden" | "/problems/not-found" | "/problems/method-not-allowed" | "/problems/legal-hold" | "/problems/too-many-subscriptions" | "/problems/too-many-webhooks" | "/problems/payload-too-large" | "/problems/url-too-long" | "/problems/unsupported-media-type" | "/problems/rate-limited" | "/problems/headers-too-large" | "/problems/internal" | "/problems/overloaded" | "/problems/unavailable" | "/problems/read-timeout" | "/problems/outcome-unknown" | "/problems/store-storage-failed" | "/problems/store-locked" | "/problems/store-too-many-connections" | "/problems/store-read-only" | "/problems/store-restarting" | "/problems/store-failed" | "/problems/keyring-failed" | "/problems/erasure-unfinished" | "/problems/store-disk-full";
  /** The status in words. */
  title: string;
  /** The HTTP status. */
  status: number;
  /** What is wrong with this request, for people. */
  detail: string;
  /** The part of the request at fault. */
  field?: string;
  /** The same text as `detail`, where there is a `field`. */
  cause?: string;
}

/** A refused signal. */
export interface Refusal {
  /** When the service refused it. */
  recorded_at: string;
  /** Wire name of the field at fault, in a malformed signal. */
  field: string | null;
  /** What is wrong with the signal, for people. */
  cause: string | null;
  /** The text that came, cut at 4 KiB. */
  signal: string;
  /** Length of the text that came, in bytes. */
  signal_bytes: number;
  /** Code of the refusal. */
  reason: "malformed" | "not_tracked" | "from_the_future" | "too_old" | "conflicting_duplicate" | "offer_refused" | "terminal_state" | "already_open" | "action_over" | "not_legal" | "crowded" | "never_reachable";
  /** Place among the refusals of the same time. */
  number: number;
}

/** Number of refusals for one reason. */
export interface ReasonCount {
  /** The code. */
  reason: "malformed" | "not_tracked" | "from_the_future" | "too_old" | "conflicting_duplicate" | "offer_refused" | "terminal_state" | "already_open" | "action_over" | "not_legal" | "crowded" | "never_reachable";
  /** The number. */
  refusals: number;
}

/** Number of refusals by reason, in whole quarter-hours. */
export interface RefusalCounts {
  /** First instant that counts; null for the beginning. */
  since: string | null;
  /** First instant that does not count any more; null for now. */
  until: string | null;
  /** Number of all refusals. */
  refusals: number;
  /** The most frequent reason first. */
  reasons: ReasonCount[];
}

/** Report that an action reached a state, in the vendor's browser form. */
export interface Signal {
  /** The action. */
  actionId: string;
  /** The state that it reached. */
  actionState: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached" | "completed";
  /** The action map. */
  actionMapId: string;
  /** The visitor. */
  customerId: string;
  /** The visit. */
  sessionId: string;
  /** Media type of the offer. */
  actionMediaType?: string | null;
  /** Version of the action map. */
  actionMapVersion?: number | null;
  /** Display name of the action map. */
  actionMapName?: string | null;
  /** Type of the visitor's id. */
  customerIdType?: string | null;
  /** The sender's id of this event. */
  eventId?: string | null;
  /** When it happened; if absent, the moment at which it is decided. */
  createdDate?: string | null;
  /** Seconds until an unanswered invitation times out. */
  timeoutSeconds?: number | null;
  /** The widget's error code. */
  errorCode?: string | number | null;
  /** The widget's error message. */
  errorMessage?: string | null;
}

/** An offer that must not be made to a visitor again. */
export interface Suppression {
  /** The visitor. */
  customer_id: string;
  /** Type of the visitor's id. */
  customer_id_type: string;
  /** The action map that must not offer. */
  action_map_id: string;
  /** The terminal state. */
  state: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached";
  /** The action that reached it. */
  action_id: string;
  /** When the action reached it. */
  since: string;
  /** When the suppression ends, by the policy of the map that is in force; null for never. */
  until: string | null;
}

/** Suppressions of one visitor, with their freshness. */
export interface Suppressions {
  /** Log position of the last event in it. */
  position: number;
  /** What was recorded longer ago is in it; null where this build cannot read the next event. */
  age_seconds: number | null;
  /** Events that wait as dead letters and are missing, in all organizations. */
  short_by: number;
  /** Sorted by action map. */
  suppressions: Suppression[];
}

/** Suppressions of one visitor of a batch. */
export interface VisitorSuppressions {
  /** The visitor. */
  customer_id: string;
  /** Type of the visitor's id. */
  customer_id_type: string;
  /** Sorted by action map. */
  suppressions: Suppression[];
}

/** Suppressions of several visitors, with their freshness. */
export interface SuppressionsOfMany {
  /** Log position of the last event in it. */
  position: number;
  /** What was recorded longer ago is in it; null where this build cannot read the next event. */
  age_seconds: number | null;
  /** Events that wait as dead letters and are missing, in all organizations. */
  short_by: number;
  /** One entry for each visitor of the request, in its order. */
  visitors: VisitorSuppressions[];
}

/** An action of the same visitor and action map, as it stood when an offer was decided. */
export interface EarlierAction {
  /** The action. */
  action_id: string;
  /** The state that it was in. */
  state: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached";
  /** When it reached that state. */
  since: string;
}

/** An event of the log, or a refused signal. */
export interface TimelineEntry {
  /** What happened: a state of an action, `offer-refused`, `signal-parked` or `parking-ended` for an event; `refused` for a refused signal. */
  kind: string;
  /** The same in words, for people; for a second offer with the reason why nothing blocked it. */
  summary: string;
  /** When the service recorded it. */
  recorded_at: string;
  /** When it happened; null where nothing says so. */
  occurred_at: string | null;
  /** The action map; null for a refused text that cannot be read. */
  action_map_id: string | null;
  /** The action; null where the text cannot be read. */
  action_id: string | null;
  /** Number of the action for this visitor and map, from 1, where the action changed. */
  action_number: number | null;
  /** The state that the signal reports; null where the text cannot be read. */
  state: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached" | "completed" | null;
  /** Stage at which the visitor rejected: `invitation` or `form`. */
  stage: "invitation" | "form" | null;
  /** Code of the refusal, of an offer or of a signal. */
  reason: "malformed" | "not_tracked" | "from_the_future" | "too_old" | "conflicting_duplicate" | "offer_refused" | "terminal_state" | "already_open" | "action_over" | "not_legal" | "crowded" | "never_reachable" | null;
  /** The event's position in the log; null for a refused signal. */
  position: number | null;
  /** The event's place among all events of this visitor and map; null for a refused signal. */
  version: number | null;
  /** The visit. */
  session_id: string | null;
  /** The id that the sender gave the event. */
  event_id: string | null;
  /** The widget's error code. */
  error_code: string | null;
  /** The widget's error message. */
  error_message: string | null;
  /** Version of the action map. */
  action_map_version: number | null;
  /** Seconds until an unanswered invitation times out. */
  timeout_seconds: number | null;
  /** Of an offer that was made: the action before it, which did not block it. */
  previous_action: EarlierAction | null;
  /** Of an offer that was refused: the action that blocked it. */
  blocked_by: EarlierAction | null;
  /** The `version` of each parked signal that this event ended. */
  ended_versions: number[];
  /** Wire name of the field at fault, in a malformed signal. */
  field: string | null;
  /** What is wrong with the signal, for people. */
  cause: string | null;
  /** The text of a refused or parked signal, cut at 4 KiB. */
  signal: string | null;
  /** Length of the text that came, in bytes. */
  signal_bytes: number | null;
}
