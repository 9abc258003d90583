"""Fields of requests and answers. Made from the OpenAPI document by docs/generate.py (`make docs`); do not edit."""

from typing import Literal, NotRequired, TypedDict


class ActionMap(TypedDict):
    """Action map that has been counted."""

    action_map_id: str
    action_map_name: str | None


class ActionMapsRates(TypedDict):
    """Rates of a row, not rounded; null where the divisor is 0, or the media type has no such state."""

    offered: float | None
    accepted: float | None
    engaged: float | None
    engaged_of_offered: float | None


class RateDifference(TypedDict):
    """A rate less the same rate of another version, with its 95 % interval, as fractions of 1."""

    difference: float
    low: float
    high: float
    excludes_zero: bool
    in_words: str


class VersionComparison(TypedDict):
    """Rates of a version, compared with another version of the same map and media type."""

    baseline: int
    accepted: RateDifference | None
    engaged: RateDifference | None
    engaged_of_offered: RateDifference | None


class ActionMapsRow(TypedDict):
    """An action map with one media type; by version, also with one version."""

    action_map_id: str
    action_map_name: str | None
    media_type: Literal["webchat", "webMessagingOffer", "contentOffer"] | None
    action_map_version: NotRequired[int | None]
    qualified: int
    blocked: int | None
    offered: int
    accepted: int
    engaged: int
    rejected: int
    rates: ActionMapsRates
    comparison: NotRequired[VersionComparison | None]


ActionMapsReport = TypedDict("ActionMapsReport", {"from": str | None, "to": str | None, "zone": str, "position": int | str, "media_type": NotRequired[Literal["webchat", "webMessagingOffer", "contentOffer"]], "short_by": NotRequired[int], "count_by": Literal["actions", "visitors"], "cohort": Literal["event", "offered"], "by_version": bool, "baseline": int | None, "rows": list[ActionMapsRow]})
"""Each action map by media type, or also by version, with a comparison."""


class ApiKey(TypedDict):
    """A key of the HTTP service, without its secret."""

    id: str
    organization: str
    role: Literal["widget", "page", "service", "reporter", "privacy", "events", "admin"]
    name: str
    origins: list[str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class BlockedNumbers(TypedDict):
    """Number of blocked offers."""

    blocked: int
    remembered: int
    visitors: int
    sessions: int | None


class BlockedReason(TypedDict):
    """Number of blocked offers for one reason."""

    blocked: int
    remembered: int
    visitors: int
    sessions: int | None
    reason: str


class BlockedRow(TypedDict):
    """Number of blocked offers of one action map for one reason."""

    action_map_id: str
    action_map_name: str | None
    blocked: int
    remembered: int
    visitors: int
    sessions: int | None
    reason: str


BlockedOffers = TypedDict("BlockedOffers", {"from": str | None, "to": str | None, "zone": str, "position": int | str, "media_type": NotRequired[Literal["webchat", "webMessagingOffer", "contentOffer"]], "short_by": NotRequired[int], "unknown_media_type": NotRequired[int], "total": BlockedNumbers, "reasons": list[BlockedReason], "rows": list[BlockedRow]})
"""Offers that were not made, because an earlier action stood against them, or the vendor blocked them."""


class Decision(TypedDict):
    """Decision about an offer."""

    decision: Literal["blocked", "offered"]
    action_id: str | None
    reason: Literal["malformed", "not_tracked", "from_the_future", "too_old", "conflicting_duplicate", "offer_refused", "terminal_state", "already_open", "action_over", "not_legal", "crowded", "never_reachable"] | None
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"] | None
    since: str | None
    blocking_action_id: str | None


class DeletedTenant(TypedDict):
    """A deletion of an organization."""

    organization: str
    visitors: int
    events: int
    refusals: int
    keys: int
    held: int
    first_receipt: int | None
    last_receipt: int | None
    receipt: int | None
    webhooks: int
    webhooks_behind: int
    subscriptions: int


class Eligibility(TypedDict):
    """Answer to the question whether a map may offer to a visitor."""

    eligible: bool
    known: bool
    reason: Literal["malformed", "not_tracked", "from_the_future", "too_old", "conflicting_duplicate", "offer_refused", "terminal_state", "already_open", "action_over", "not_legal", "crowded", "never_reachable"] | None
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"] | None
    action_id: str | None
    since: str | None


class FunnelRates(TypedDict):
    """Rates of a funnel, not rounded; null where the divisor is 0 or no media type has such states."""

    accepted: float | None
    engaged: float | None
    started_of_accepted: float | None
    engaged_of_started: float | None
    started_of_offered: float | None
    engaged_of_offered: float | None


class OfferEnds(TypedDict):
    """Number of offers at each end. They add up to the number of offers."""

    engaged: int
    accepted: int
    abandoned: int
    rejected_at_form: int
    rejected_at_invitation: int
    ignored: int
    timedout: int
    errored: int
    open: int
    lapsed: int


class FunnelNumbers(TypedDict):
    """Funnel of the offers made in a range."""

    offered: int
    accepted: int
    started: int
    engaged: int
    ends: OfferEnds
    rates: FunnelRates


class FunnelRow(TypedDict):
    """Funnel of an action map."""

    action_map_id: str
    action_map_name: str | None
    offered: int
    accepted: int
    started: int
    engaged: int
    ends: OfferEnds
    rates: FunnelRates


Funnel = TypedDict("Funnel", {"from": str | None, "to": str | None, "zone": str, "position": int | str, "media_type": NotRequired[Literal["webchat", "webMessagingOffer", "contentOffer"]], "short_by": NotRequired[int], "as_of": str, "total": FunnelNumbers, "rows": list[FunnelRow]})
"""Of the offers made in a range: how far they came, and where they ended."""


class HistoryEvent(TypedDict):
    """Lifecycle event of a visitor-offer."""

    version: int
    event: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"]
    action_id: str
    stage: Literal["invitation", "form"] | None
    occurred_at: str
    recorded_at: str
    session_id: str
    error_code: str | None
    error_message: str | None
    event_id: str | None
    action_map_version: int | None
    timeout_seconds: int | None


class History(TypedDict):
    """Page of a visitor-offer's lifecycle events."""

    known: bool
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"] | None
    version: int
    events: list[HistoryEvent]
    next_cursor: str | None


class KeyringKey(TypedDict):
    """A key of the keyring, without the key."""

    key: str
    current: bool
    made_at: str | None
    used_since: str | None


class ListedWebhook(TypedDict):
    """An address to which events are sent, with its lag."""

    id: str
    organization: str
    url: str
    types: list[str]
    action_maps: list[str]
    created_at: str
    cursor: str
    disabled_at: str | None
    disabled_because: Literal["operator", "gone", "failing", "log-restored"] | None
    resting_until: str | None
    failing_since: str | None
    delivered: int
    failed: int
    given_up: int
    pending: int
    dead_letters: int
    lag_events: int
    lag_seconds: float | None


class MadeWebhook(TypedDict):
    """A webhook with a secret that it has just got."""

    id: str
    organization: str
    url: str
    types: list[str]
    action_maps: list[str]
    created_at: str
    cursor: str
    disabled_at: str | None
    disabled_because: Literal["operator", "gone", "failing", "log-restored"] | None
    resting_until: str | None
    failing_since: str | None
    delivered: int
    failed: int
    given_up: int
    pending: int
    dead_letters: int
    secret: str


class NewApiKey(TypedDict):
    """A key that was just made."""

    id: str
    organization: str
    role: Literal["widget", "page", "service", "reporter", "privacy", "events", "admin"]
    name: str
    origins: list[str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None
    key: str


class OfferOfVisitor(TypedDict):
    """An action map for a visitor, as it is now."""

    action_map_id: str
    action_map_name: str | None
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"]
    stage: Literal["invitation", "form"] | None
    since: str
    actions: int
    suppressed: bool
    blocked_offers: int


class StepTimes(TypedDict):
    """Seconds from the offer to a step."""

    actions: int
    median: float | None
    p90: float | None


class TimesOfSteps(TypedDict):
    """Seconds from the offer to each step."""

    accepted: StepTimes
    started: StepTimes
    engaged: StepTimes


class TimesRow(TypedDict):
    """Seconds from the offer to each step, of an action map."""

    action_map_id: str
    action_map_name: str | None
    accepted: StepTimes
    started: StepTimes
    engaged: StepTimes


OfferTimes = TypedDict("OfferTimes", {"from": str | None, "to": str | None, "zone": str, "position": int | str, "media_type": NotRequired[Literal["webchat", "webMessagingOffer", "contentOffer"]], "short_by": NotRequired[int], "method": Literal["exact"], "total": TimesOfSteps, "rows": list[TimesRow]})
"""Seconds from the offer to each step, of the offers made in a range."""


class Outcome(TypedDict):
    """Result of one signal."""

    outcome: Literal["recorded", "duplicate", "parked", "refused", "received"]
    reason: Literal["malformed", "not_tracked", "from_the_future", "too_old", "conflicting_duplicate", "offer_refused", "terminal_state", "already_open", "action_over", "not_legal", "crowded", "never_reachable"] | None
    action_id: str | None
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached", "completed"] | None
    field: NotRequired[str | None]
    cause: NotRequired[str | None]


class Proof(TypedDict):
    """Evidence of the events that a projection has applied."""

    projection: str
    position: int | str
    events: int
    digest: str
    short_by: int


class Metrics(TypedDict):
    """Counts by the vendor's names."""

    nWebActionsOffered: int
    nWebActionsAccepted: int
    nWebActionsRejected: int
    nWebActionsStarted: int
    nWebActionsAbandoned: int
    nWebActionsEngaged: int
    nWebActionsIgnored: NotRequired[int]
    nWebActionsErrored: NotRequired[int]
    nWebActionsTimedout: NotRequired[int]
    nWebActionsQualified: NotRequired[int]
    nWebActionsQualifiedOutsideSchedule: NotRequired[int]
    nWebActionsOfferedOutsideSchedule: NotRequired[int]
    nWebActionsFrequencyCapReached: NotRequired[int]


class Rates(TypedDict):
    """Rates of an action map in a bucket, not rounded."""

    accepted: float | None
    engaged: float | None


class Row(TypedDict):
    """An action map in a bucket of a performance report."""

    action_map_id: str
    action_map_name: str | None
    bucket: str | None
    metrics: Metrics
    rates: Rates


Performance = TypedDict("Performance", {"from": str | None, "to": str | None, "zone": str, "by": str, "media_type": NotRequired[Literal["webchat", "webMessagingOffer", "contentOffer"]], "short_by": NotRequired[int], "missing_slices": NotRequired[str], "rows": list[Row], "proof": NotRequired[Proof]})
"""Action Map Performance report."""


class PolicyInForce(TypedDict):
    """The policy of an action map that is in force."""

    action_map_id: str
    suppress_for: dict[str, int]


class Problem(TypedDict):
    """Error as problem details (RFC 9457)."""

    type: Literal["/problems/malformed-request", "/problems/unauthorized", "/problems/forbidden", "/problems/not-found", "/problems/method-not-allowed", "/problems/legal-hold", "/problems/too-many-subscriptions", "/problems/too-many-webhooks", "/problems/payload-too-large", "/problems/url-too-long", "/problems/unsupported-media-type", "/problems/rate-limited", "/problems/headers-too-large", "/problems/internal", "/problems/several-servers", "/problems/overloaded", "/problems/unavailable", "/problems/read-timeout", "/problems/outcome-unknown", "/problems/store-storage-failed", "/problems/store-locked", "/problems/store-too-many-connections", "/problems/store-read-only", "/problems/store-restarting", "/problems/store-failed", "/problems/keyring-failed", "/problems/erasure-unfinished", "/problems/store-disk-full"]
    title: str
    status: int
    detail: str
    field: NotRequired[str]
    cause: NotRequired[str]


class RecentVisitor(TypedDict):
    """A visitor with the newest event."""

    action_map_id: str
    action_map_name: str | None
    customer_id: str
    customer_id_type: str
    event: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached", "offer-refused", "signal-parked"]
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"] | None
    occurred_at: str
    recorded_at: str
    position: int


class Refusal(TypedDict):
    """A refused signal."""

    recorded_at: str
    field: str | None
    cause: str | None
    signal: str
    signal_bytes: int
    reason: Literal["malformed", "not_tracked", "from_the_future", "too_old", "conflicting_duplicate", "offer_refused", "terminal_state", "already_open", "action_over", "not_legal", "crowded", "never_reachable"]
    number: int


class ReasonCount(TypedDict):
    """Number of refusals for one reason."""

    reason: Literal["malformed", "not_tracked", "from_the_future", "too_old", "conflicting_duplicate", "offer_refused", "terminal_state", "already_open", "action_over", "not_legal", "crowded", "never_reachable"]
    refusals: int


class RefusalCounts(TypedDict):
    """Number of refusals by reason, in whole quarter-hours."""

    since: str | None
    until: str | None
    refusals: int
    reasons: list[ReasonCount]


class ReportGivenOut(TypedDict):
    """A report that was recorded as issued."""

    position: int
    as_of_position: int | str
    digest: str
    issued_by: str
    issued_at: str
    query: str


class WebhookDelivery(TypedDict):
    """An event that could not be delivered: it waits for another attempt, or was given up."""

    webhook: str
    id: str
    type: str
    visitor: str
    attempts: int
    next_attempt_at: str | None
    last_attempt_at: str | None
    last_status: int | None
    last_error: str | None
    dead_at: str | None


class ShownWebhook(TypedDict):
    """An address to which events are sent, with its lag and the events that could not be delivered."""

    id: str
    organization: str
    url: str
    types: list[str]
    action_maps: list[str]
    created_at: str
    cursor: str
    disabled_at: str | None
    disabled_because: Literal["operator", "gone", "failing", "log-restored"] | None
    resting_until: str | None
    failing_since: str | None
    delivered: int
    failed: int
    given_up: int
    pending: int
    dead_letters: int
    lag_events: int
    lag_seconds: float | None
    deliveries: list[WebhookDelivery]


class Signal(TypedDict):
    """Report that an action reached a state, in the vendor's browser form."""

    actionId: str
    actionState: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached", "completed"]
    actionMapId: str
    customerId: str
    sessionId: str
    actionMediaType: NotRequired[str | None]
    actionMapVersion: NotRequired[int | None]
    actionMapName: NotRequired[str | None]
    customerIdType: NotRequired[str | None]
    eventId: NotRequired[str | None]
    createdDate: NotRequired[str | None]
    timeoutSeconds: NotRequired[int | None]
    errorCode: NotRequired[str | float | None]
    errorMessage: NotRequired[str | None]


class Subscription(TypedDict):
    """Cursor of a reader of the feed, with its lag."""

    name: str
    cursor: str
    created_at: str
    moved_at: str | None
    lag_events: int
    lag_seconds: float | None


class Suppression(TypedDict):
    """An offer that must not be made to a visitor again."""

    customer_id: str
    customer_id_type: str
    action_map_id: str
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"]
    action_id: str
    since: str
    until: str | None


class Suppressions(TypedDict):
    """Suppressions of one visitor, with their freshness."""

    position: int | str
    age_seconds: float | None
    short_by: int
    suppressions: list[Suppression]


class VisitorSuppressions(TypedDict):
    """Suppressions of one visitor of a batch."""

    customer_id: str
    customer_id_type: str
    suppressions: list[Suppression]


class SuppressionsOfMany(TypedDict):
    """Suppressions of several visitors, with their freshness."""

    position: int | str
    age_seconds: float | None
    short_by: int
    visitors: list[VisitorSuppressions]


class EarlierAction(TypedDict):
    """An action of the same visitor and action map, as it stood when an offer was decided."""

    action_id: str
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"]
    since: str


class TimelineEntry(TypedDict):
    """An event of the log, or a refused signal."""

    kind: str
    summary: str
    recorded_at: str
    occurred_at: str | None
    action_map_id: str | None
    action_id: str | None
    action_number: int | None
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached", "completed"] | None
    stage: Literal["invitation", "form"] | None
    reason: Literal["malformed", "not_tracked", "from_the_future", "too_old", "conflicting_duplicate", "offer_refused", "terminal_state", "already_open", "action_over", "not_legal", "crowded", "never_reachable"] | None
    position: int | None
    version: int | None
    session_id: str | None
    event_id: str | None
    error_code: str | None
    error_message: str | None
    action_map_version: int | None
    timeout_seconds: int | None
    previous_action: EarlierAction | None
    blocked_by: EarlierAction | None
    ended_versions: list[int]
    field: str | None
    cause: str | None
    signal: str | None
    signal_bytes: int | None


class Webhook(TypedDict):
    """An address to which events are sent, without its secret."""

    id: str
    organization: str
    url: str
    types: list[str]
    action_maps: list[str]
    created_at: str
    cursor: str
    disabled_at: str | None
    disabled_because: Literal["operator", "gone", "failing", "log-restored"] | None
    resting_until: str | None
    failing_since: str | None
    delivered: int
    failed: int
    given_up: int
    pending: int
    dead_letters: int


class WebhookAttempt(TypedDict):
    """The result of a test message."""

    delivered: bool
    status: int | None
    error: str | None
    seconds: float
