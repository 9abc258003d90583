// Fields of requests and answers. Made from the OpenAPI document by docs/generate.py (`make docs`); do not edit.

/** Action map that has been counted. */
export interface ActionMap {
  /** The action map. */
  action_map_id: string;
  /** Its newest known display name. */
  action_map_name: string | null;
}

/** Rates of a row, not rounded; null where the divisor is 0, or the media type has no such state. */
export interface ActionMapsRates {
  /** Offered ÷ qualified. It exceeds 1 where offers were made without a `qualified` before them. */
  offered: number | null;
  /** Accepted ÷ offered. */
  accepted: number | null;
  /** Engaged ÷ accepted. */
  engaged: number | null;
  /** Engaged ÷ offered. */
  engaged_of_offered: number | null;
}

/** A rate less the same rate of another version, with its 95 % interval, as fractions of 1. */
export interface RateDifference {
  /** The difference. */
  difference: number;
  /** Lower limit of the interval: Newcombe's hybrid score interval, without rounding. */
  low: number;
  /** Upper limit of the interval. */
  high: number;
  /** True if the interval lies on one side of 0. */
  excludes_zero: boolean;
  /** The difference in percentage points, and what the interval says of it. */
  in_words: string;
}

/** Rates of a version, compared with another version of the same map and media type. */
export interface VersionComparison {
  /** The other version. */
  baseline: number;
  /** Accepted ÷ offered. */
  accepted: RateDifference | null;
  /** Engaged ÷ accepted. */
  engaged: RateDifference | null;
  /** Engaged ÷ offered. */
  engaged_of_offered: RateDifference | null;
}

/** An action map with one media type; by version, also with one version. */
export interface ActionMapsRow {
  /** The action map. */
  action_map_id: string;
  /** Its newest known display name. */
  action_map_name: string | null;
  /** The media type of the offers; null where it is not known. */
  media_type: "webchat" | "webMessagingOffer" | "contentOffer" | null;
  /** The version; null where the signals named none. Only by version. */
  action_map_version?: number | null;
  /** Times that the map qualified. */
  qualified: number;
  /** Blocked offers; null where visitors are counted. */
  blocked: number | null;
  /** Offers made. */
  offered: number;
  /** Acceptances. */
  accepted: number;
  /** Chats that an agent connected to. */
  engaged: number;
  /** Rejections, of the invitation and of the form. */
  rejected: number;
  /** Rates of these numbers. */
  rates: ActionMapsRates;
  /** Comparison with another version; null without one to compare with. Only by version. */
  comparison?: VersionComparison | null;
}

/** Each action map by media type, or also by version, with a comparison. */
export interface ActionMapsReport {
  /** First instant that counts; null for all time. */
  from: string | null;
  /** First instant that does not count any more; null for all time. */
  to: string | null;
  /** IANA name of the zone. */
  zone: string;
  /** Log position that the report shows. */
  position: number | string;
  /** The media type of the offers; left out where it is every one. */
  media_type?: "webchat" | "webMessagingOffer" | "contentOffer";
  /** Events that wait as dead letters and are missing; left out where it is 0. */
  short_by?: number;
  /** What is counted: actions, or distinct visitors of each row. */
  count_by: "actions" | "visitors";
  /** The time that counts: `offered`, that of an action's offer, or `event`, that of each event. */
  cohort: "event" | "offered";
  /** True if each version of a map has a row. */
  by_version: boolean;
  /** The version that every other is compared with; null for the version before. */
  baseline: number | null;
  /** Sorted by id, media type and version; the version null comes last. */
  rows: ActionMapsRow[];
}

/** A key of the HTTP service, without its secret. */
export interface ApiKey {
  /** Its public part, which may be logged. */
  id: string;
  /** The organization whose data it opens. */
  organization: string;
  /** Its rights. */
  role: "widget" | "page" | "service" | "reporter" | "privacy" | "events" | "admin";
  /** Its purpose, for people. */
  name: string;
  /** The web origins from which a browser may use it; empty for any. */
  origins: string[];
  /** The time at which it was made. */
  created_at: string;
  /** The time from which it is refused; null if it does not expire. */
  expires_at: string | null;
  /** A time at which it was used, some minutes before the last use at most; null if no use has been recorded. */
  last_used_at: string | null;
  /** The time at which it was revoked; null if it was not. */
  revoked_at: string | null;
}

/** Number of blocked offers. */
export interface BlockedNumbers {
  /** Blocked offers, all of them. */
  blocked: number;
  /** Those of them whose action id was named, so that the log remembers visitor and session. */
  remembered: number;
  /** Distinct visitors of remembered offers. */
  visitors: number;
  /** Distinct sessions of remembered offers; null where they were not counted. */
  sessions: number | null;
}

/** Number of blocked offers for one reason. */
export interface BlockedReason {
  /** Blocked offers, all of them. */
  blocked: number;
  /** Those of them whose action id was named, so that the log remembers visitor and session. */
  remembered: number;
  /** Distinct visitors of remembered offers. */
  visitors: number;
  /** Distinct sessions of remembered offers; null where they were not counted. */
  sessions: number | null;
  /** The code of the offer rule, or the vendor's `blockingReason`. */
  reason: string;
}

/** Number of blocked offers of one action map for one reason. */
export interface BlockedRow {
  /** The action map. */
  action_map_id: string;
  /** Its newest known display name. */
  action_map_name: string | null;
  /** Blocked offers, all of them. */
  blocked: number;
  /** Those of them whose action id was named, so that the log remembers visitor and session. */
  remembered: number;
  /** Distinct visitors of remembered offers. */
  visitors: number;
  /** Distinct sessions of remembered offers; null where they were not counted. */
  sessions: number | null;
  /** The code. */
  reason: string;
}

/** Offers that were not made, because an earlier action stood against them, or the vendor blocked them. */
export interface BlockedOffers {
  /** First instant that counts; null for all time. */
  from: string | null;
  /** First instant that does not count any more; null for all time. */
  to: string | null;
  /** IANA name of the zone. */
  zone: string;
  /** Log position that the counts show. */
  position: number | string;
  /** The media type of the offers; left out where it is every one, known or not. */
  media_type?: "webchat" | "webMessagingOffer" | "contentOffer";
  /** Events that wait as dead letters and are missing; left out where it is 0. */
  short_by?: number;
  /** Blocked offers of the range and maps whose media type is not known: they are not in the other numbers. The field is left out where every media type counts. */
  unknown_media_type?: number;
  /** All of them. */
  total: BlockedNumbers;
  /** By reason, the most frequent first. */
  reasons: BlockedReason[];
  /** By action map and reason: sorted by id, then the most frequent reason first. */
  rows: BlockedRow[];
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

/** A deletion of an organization. */
export interface DeletedTenant {
  /** The organization. */
  organization: string;
  /** Number of visitors who were erased by this request. */
  visitors: number;
  /** Number of their events that stay in the log, unreadable. */
  events: number;
  /** Number of refusals that were deleted. */
  refusals: number;
  /** Number of keys that were revoked. */
  keys: number;
  /** Number of visitors whom a legal hold protects: they are left as they are. */
  held: number;
  /** Position of the first receipt of a visitor; null without one. */
  first_receipt: number | null;
  /** Position of the last one; null without one. */
  last_receipt: number | null;
  /** Position of the receipt of the organization; null if visitors are held. */
  receipt: number | null;
  /** Number of webhooks that were deleted; 0 if visitors are held. */
  webhooks: number;
  /** Number of those whose receivers had not got all erasures. */
  webhooks_behind: number;
  /** Number of subscriptions to the feed that were deleted; 0 if visitors are held. */
  subscriptions: number;
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

/** Rates of a funnel, not rounded; null where the divisor is 0 or no media type has such states. */
export interface FunnelRates {
  /** Accepted ÷ offered, as in the performance report. */
  accepted: number | null;
  /** Engaged ÷ accepted, as in the performance report. */
  engaged: number | null;
  /** Started ÷ accepted. */
  started_of_accepted: number | null;
  /** Engaged ÷ started. */
  engaged_of_started: number | null;
  /** Started ÷ offered. */
  started_of_offered: number | null;
  /** Engaged ÷ offered. */
  engaged_of_offered: number | null;
}

/** Number of offers at each end. They add up to the number of offers. */
export interface OfferEnds {
  /** An agent accepted and connected. */
  engaged: number;
  /** Accepted, and nothing follows: so ends a content offer. */
  accepted: number;
  /** The visitor closed the window before an agent connected. */
  abandoned: number;
  /** The visitor accepted, and cancelled or closed the form. */
  rejected_at_form: number;
  /** The visitor rejected the invitation. */
  rejected_at_invitation: number;
  /** The visitor navigated away. */
  ignored: number;
  /** The invitation timed out. */
  timedout: number;
  /** A widget error prevented the engagement. */
  errored: number;
  /** Not over, and not lapsed. */
  open: number;
  /** Not over, and silent for longer than an open action may be. */
  lapsed: number;
}

/** Funnel of the offers made in a range. */
export interface FunnelNumbers {
  /** Offers made. */
  offered: number;
  /** Those that were accepted, whatever came then. */
  accepted: number;
  /** Those of which the chat started. */
  started: number;
  /** Those that an agent connected to. */
  engaged: number;
  /** Where they ended. */
  ends: OfferEnds;
  /** Rates of these numbers. */
  rates: FunnelRates;
}

/** Funnel of an action map. */
export interface FunnelRow {
  /** The action map. */
  action_map_id: string;
  /** Its newest known display name. */
  action_map_name: string | null;
  /** Offers made. */
  offered: number;
  /** Those that were accepted, whatever came then. */
  accepted: number;
  /** Those of which the chat started. */
  started: number;
  /** Those that an agent connected to. */
  engaged: number;
  /** Where they ended. */
  ends: OfferEnds;
  /** Rates of these numbers. */
  rates: FunnelRates;
}

/** Of the offers made in a range: how far they came, and where they ended. */
export interface Funnel {
  /** First instant that counts; null for all time. */
  from: string | null;
  /** First instant that does not count any more; null for all time. */
  to: string | null;
  /** IANA name of the zone. */
  zone: string;
  /** Log position that the funnel shows. */
  position: number | string;
  /** The media type of the offers; left out where it is every one. */
  media_type?: "webchat" | "webMessagingOffer" | "contentOffer";
  /** Events that wait as dead letters and are missing; left out where it is 0. */
  short_by?: number;
  /** The minute as of which open and lapsed offers are told apart. */
  as_of: string;
  /** All action maps together. */
  total: FunnelNumbers;
  /** By action map, sorted by id. */
  rows: FunnelRow[];
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

/** A key of the keyring, without the key. */
export interface KeyringKey {
  /** Its id. */
  key: string;
  /** True for the key that encrypts new keys. */
  current: boolean;
  /** The time at which it was made; null where the keyring does not say. */
  made_at: string | null;
  /** The time since which this store uses it; null if it does not. */
  used_since: string | null;
}

/** An address to which events are sent, with its lag. */
export interface ListedWebhook {
  /** Its id. */
  id: string;
  /** The organization. */
  organization: string;
  /** The address. */
  url: string;
  /** Names of the kinds of events that it gets; empty for all. The erasure of a visitor comes in any case. */
  types: string[];
  /** Ids of the action maps whose events it gets; empty for all. */
  action_maps: string[];
  /** The time at which it was made. */
  created_at: string;
  /** Each event up to this position was delivered, or waits, or was given up. Over several servers, it has a part for each. */
  cursor: string;
  /** The time at which it was disabled; null while it is enabled. */
  disabled_at: string | null;
  /** The reason; null while it is enabled. */
  disabled_because: "operator" | "gone" | "failing" | "log-restored" | null;
  /** Nothing is sent before this time; null if it does not rest. */
  resting_until: string | null;
  /** The time of the first failure since the last delivery; null without one. */
  failing_since: string | null;
  /** Number of events that were delivered. */
  delivered: number;
  /** Number of attempts that failed. */
  failed: number;
  /** Number of events that were given up. */
  given_up: number;
  /** Number of events that wait for another attempt. */
  pending: number;
  /** Number of events that were given up and not sent again since. */
  dead_letters: number;
  /** Number of events of the log behind the cursor; a number of positions above 10,000. */
  lag_events: number;
  /** Age of the oldest of them; 0 without any. Null where this build cannot read that event, and while one of several servers does not answer; `lag_events` is without it then. */
  lag_seconds: number | null;
}

/** A webhook with a secret that it has just got. */
export interface MadeWebhook {
  /** Its id. */
  id: string;
  /** The organization. */
  organization: string;
  /** The address. */
  url: string;
  /** Names of the kinds of events that it gets; empty for all. The erasure of a visitor comes in any case. */
  types: string[];
  /** Ids of the action maps whose events it gets; empty for all. */
  action_maps: string[];
  /** The time at which it was made. */
  created_at: string;
  /** Each event up to this position was delivered, or waits, or was given up. Over several servers, it has a part for each. */
  cursor: string;
  /** The time at which it was disabled; null while it is enabled. */
  disabled_at: string | null;
  /** The reason; null while it is enabled. */
  disabled_because: "operator" | "gone" | "failing" | "log-restored" | null;
  /** Nothing is sent before this time; null if it does not rest. */
  resting_until: string | null;
  /** The time of the first failure since the last delivery; null without one. */
  failing_since: string | null;
  /** Number of events that were delivered. */
  delivered: number;
  /** Number of attempts that failed. */
  failed: number;
  /** Number of events that were given up. */
  given_up: number;
  /** Number of events that wait for another attempt. */
  pending: number;
  /** Number of events that were given up and not sent again since. */
  dead_letters: number;
  /** The secret for its receiver, `whsec_...`. No later answer shows it. */
  secret: string;
}

/** A key that was just made. */
export interface NewApiKey {
  /** Its public part, which may be logged. */
  id: string;
  /** The organization whose data it opens. */
  organization: string;
  /** Its rights. */
  role: "widget" | "page" | "service" | "reporter" | "privacy" | "events" | "admin";
  /** Its purpose, for people. */
  name: string;
  /** The web origins from which a browser may use it; empty for any. */
  origins: string[];
  /** The time at which it was made. */
  created_at: string;
  /** The time from which it is refused; null if it does not expire. */
  expires_at: string | null;
  /** Null: it has not been used. */
  last_used_at: string | null;
  /** Null: it was not revoked. */
  revoked_at: string | null;
  /** The text of the key, for `Authorization: Bearer`. No later answer shows it. */
  key: string;
}

/** An action map for a visitor, as it is now. */
export interface OfferOfVisitor {
  /** The action map. */
  action_map_id: string;
  /** Its newest known display name. */
  action_map_name: string | null;
  /** State of the newest action. */
  state: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached";
  /** Stage at which the visitor rejected: `invitation` or `form`. */
  stage: "invitation" | "form" | null;
  /** When it reached that state. */
  since: string;
  /** Offers that were made. */
  actions: number;
  /** A terminal state keeps the map from offering to the visitor now. */
  suppressed: boolean;
  /** Refused offers that the log remembers. */
  blocked_offers: number;
}

/** Seconds from the offer to a step. */
export interface StepTimes {
  /** Actions that took the step. */
  actions: number;
  /** Half of them took at most so long; null without any. */
  median: number | null;
  /** Nine of ten took at most so long; null without any. */
  p90: number | null;
}

/** Seconds from the offer to each step. */
export interface TimesOfSteps {
  /** To the acceptance of the invitation. */
  accepted: StepTimes;
  /** To the start of the chat. */
  started: StepTimes;
  /** To the agent who connected. */
  engaged: StepTimes;
}

/** Seconds from the offer to each step, of an action map. */
export interface TimesRow {
  /** The action map. */
  action_map_id: string;
  /** Its newest known display name. */
  action_map_name: string | null;
  /** To the acceptance of the invitation. */
  accepted: StepTimes;
  /** To the start of the chat. */
  started: StepTimes;
  /** To the agent who connected. */
  engaged: StepTimes;
}

/** Seconds from the offer to each step, of the offers made in a range. */
export interface OfferTimes {
  /** First instant that counts; null for all time. */
  from: string | null;
  /** First instant that does not count any more; null for all time. */
  to: string | null;
  /** IANA name of the zone. */
  zone: string;
  /** Log position that the times show. */
  position: number | string;
  /** The media type of the offers; left out where it is every one. */
  media_type?: "webchat" | "webMessagingOffer" | "contentOffer";
  /** Events that wait as dead letters and are missing; left out where it is 0. */
  short_by?: number;
  /** `exact`: by sorting all times. */
  method: "exact";
  /** All action maps together. */
  total: TimesOfSteps;
  /** By action map, sorted by id; maps without an accepted offer are left out. */
  rows: TimesRow[];
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
  /** Log position of the last event applied; of several servers, a text. */
  position: number | string;
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
  /** Engaged ÷ accepted; null where nothing was accepted, and where no media type that is counted reaches an agent. */
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
  /** Slices of servers that could not be reached, such as `8-f`: their visitors are not counted. Only with `partial`, and left out where there are none. */
  missing_slices?: string;
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
  type: "/problems/malformed-request" | "/problems/unauthorized" | "/problems/forbidden" | "/problems/not-found" | "/problems/method-not-allowed" | "/problems/legal-hold" | "/problems/too-many-subscriptions" | "/problems/too-many-webhooks" | "/problems/payload-too-large" | "/problems/url-too-long" | "/problems/unsupported-media-type" | "/problems/rate-limited" | "/problems/headers-too-large" | "/problems/internal" | "/problems/several-servers" | "/problems/overloaded" | "/problems/unavailable" | "/problems/read-timeout" | "/problems/outcome-unknown" | "/problems/store-storage-failed" | "/problems/store-locked" | "/problems/store-too-many-connections" | "/problems/store-read-only" | "/problems/store-restarting" | "/problems/store-failed" | "/problems/keyring-failed" | "/problems/erasure-unfinished" | "/problems/store-disk-full";
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

/** A visitor with the newest event. */
export interface RecentVisitor {
  /** The action map of the event. */
  action_map_id: string;
  /** Its newest known display name. */
  action_map_name: string | null;
  /** The visitor. */
  customer_id: string;
  /** What kind of id that is. */
  customer_id_type: string;
  /** The kind of the event: a state, `offer-refused` or `signal-parked`. */
  event: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached" | "offer-refused" | "signal-parked";
  /** State of the visitor-offer after it; null for a parked signal. */
  state: "offered" | "accepted" | "started" | "rejected" | "ignored" | "errored" | "timedout" | "abandoned" | "engaged" | "qualified" | "qualifiedOutsideSchedule" | "offeredOutsideSchedule" | "frequencyCapReached" | null;
  /** When it happened. */
  occurred_at: string;
  /** When it was recorded. */
  recorded_at: string;
  /** Position of the event in the log. */
  position: number;
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

/** A report that was recorded as issued. */
export interface ReportGivenOut {
  /** Position of the event that says so. */
  position: number;
  /** Position of the log as of which the report counts; a text with several servers. */
  as_of_position: number | string;
  /** SHA-256 of the report's canonical text, hexadecimal. */
  digest: string;
  /** The person or program that issued it. */
  issued_by: string;
  /** The time at which it was recorded as issued. */
  issued_at: string;
  /** The query, as JSON. */
  query: string;
}

/** An event that could not be delivered: it waits for another attempt, or was given up. */
export interface WebhookDelivery {
  /** The webhook. */
  webhook: string;
  /** The position of the event. */
  id: string;
  /** The name of its kind. */
  type: string;
  /** The pseudonym of its visitor. */
  visitor: string;
  /** Number of attempts; 0 while it waits behind another event of the visitor. */
  attempts: number;
  /** No attempt is made before this time; null for an event that was given up. */
  next_attempt_at: string | null;
  /** The time of the last attempt; null without one. */
  last_attempt_at: string | null;
  /** The HTTP status of the last answer; null if there was none. */
  last_status: number | null;
  /** The trouble of the last attempt; null without one. */
  last_error: string | null;
  /** The time at which it was given up; null while it waits. */
  dead_at: string | null;
}

/** An address to which events are sent, with its lag and the events that could not be delivered. */
export interface ShownWebhook {
  /** Its id. */
  id: string;
  /** The organization. */
  organization: string;
  /** The address. */
  url: string;
  /** Names of the kinds of events that it gets; empty for all. The erasure of a visitor comes in any case. */
  types: string[];
  /** Ids of the action maps whose events it gets; empty for all. */
  action_maps: string[];
  /** The time at which it was made. */
  created_at: string;
  /** Each event up to this position was delivered, or waits, or was given up. Over several servers, it has a part for each. */
  cursor: string;
  /** The time at which it was disabled; null while it is enabled. */
  disabled_at: string | null;
  /** The reason; null while it is enabled. */
  disabled_because: "operator" | "gone" | "failing" | "log-restored" | null;
  /** Nothing is sent before this time; null if it does not rest. */
  resting_until: string | null;
  /** The time of the first failure since the last delivery; null without one. */
  failing_since: string | null;
  /** Number of events that were delivered. */
  delivered: number;
  /** Number of attempts that failed. */
  failed: number;
  /** Number of events that were given up. */
  given_up: number;
  /** Number of events that wait for another attempt. */
  pending: number;
  /** Number of events that were given up and not sent again since. */
  dead_letters: number;
  /** Number of events of the log behind the cursor; a number of positions above 10,000. */
  lag_events: number;
  /** Age of the oldest of them; 0 without any. Null where this build cannot read that event, and while one of several servers does not answer; `lag_events` is without it then. */
  lag_seconds: number | null;
  /** Events that wait for another attempt, then those that were given up; the first hundred of each, by position. */
  deliveries: WebhookDelivery[];
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

/** Cursor of a reader of the feed, with its lag. */
export interface Subscription {
  /** Name of the subscription. */
  name: string;
  /** Everything up to it has been acknowledged. */
  cursor: string;
  /** Time at which it was made. */
  created_at: string;
  /** Time of the last acknowledgement; null if there was none. */
  moved_at: string | null;
  /** Number of events of the log behind the cursor; a number of positions above 10,000. */
  lag_events: number;
  /** Age of the oldest of them; 0 without any, null where this build cannot read that event. */
  lag_seconds: number | null;
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
  position: number | string;
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
  position: number | string;
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

/** An address to which events are sent, without its secret. */
export interface Webhook {
  /** Its id. */
  id: string;
  /** The organization. */
  organization: string;
  /** The address. */
  url: string;
  /** Names of the kinds of events that it gets; empty for all. The erasure of a visitor comes in any case. */
  types: string[];
  /** Ids of the action maps whose events it gets; empty for all. */
  action_maps: string[];
  /** The time at which it was made. */
  created_at: string;
  /** Each event up to this position was delivered, or waits, or was given up. Over several servers, it has a part for each. */
  cursor: string;
  /** The time at which it was disabled; null while it is enabled. */
  disabled_at: string | null;
  /** The reason; null while it is enabled. */
  disabled_because: "operator" | "gone" | "failing" | "log-restored" | null;
  /** Nothing is sent before this time; null if it does not rest. */
  resting_until: string | null;
  /** The time of the first failure since the last delivery; null without one. */
  failing_since: string | null;
  /** Number of events that were delivered. */
  delivered: number;
  /** Number of attempts that failed. */
  failed: number;
  /** Number of events that were given up. */
  given_up: number;
  /** Number of events that wait for another attempt. */
  pending: number;
  /** Number of events that were given up and not sent again since. */
  dead_letters: number;
}

/** The result of a test message. */
export interface WebhookAttempt {
  /** True if the receiver took it: an answer from 200 to 299. */
  delivered: boolean;
  /** The HTTP status of its answer; null if there was none. */
  status: number | null;
  /** The trouble; null if it was delivered. */
  error: string | null;
  /** Seconds that the attempt took. */
  seconds: number;
}
