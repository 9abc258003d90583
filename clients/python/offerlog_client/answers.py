"""Fields of requests and answers. Made from the OpenAPI document by docs/generate.py (`make docs`); do not edit."""

from typing import Literal, NotRequired, TypedDict


class ActionMap(TypedDict):
    """Action map that has been counted."""

    action_map_id: str
    action_map_name: str | None


class Decision(TypedDict):
    """Decision about an offer."""

    decision: Literal["blocked", "offered"]
    action_id: str | None
    reason: Literal["malformed", "not_tracked", "from_the_future", "too_old", "conflicting_duplicate", "offer_refused", "terminal_state", "already_open", "action_over", "not_legal", "crowded", "never_reachable"] | None
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"] | None
    since: str | None
    blocking_action_id: str | None


class Eligibility(TypedDict):
    """Answer to the question whether a map may offer to a visitor."""

    eligible: bool
    known: bool
    reason: Literal["malformed", "not_tracked", "from_the_future", "too_old", "conflicting_duplicate", "offer_refused", "terminal_state", "already_open", "action_over", "not_legal", "crowded", "never_reachable"] | None
    state: Literal["offered", "accepted", "started", "rejected", "ignored", "errored", "timedout", "abandoned", "engaged", "qualified", "qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"] | None
    action_id: str | None
    since: str | None


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
    position: int
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


Performance = TypedDict("Performance", {"from": str | None, "to": str | None, "zone": str, "by": str, "media_type": NotRequired[Literal["webchat", "webMessagingOffer", "contentOffer"]], "short_by": NotRequired[int], "rows": list[Row], "proof": NotRequired[Proof]})
"""Action Map Performance report."""


class PolicyInForce(TypedDict):
    """The policy of an action map that is in force."""

    action_map_id: str
    suppress_for: dict[str, int]


class Problem(TypedDict):
    """Error as problem details (RFC 9457)."""

    type: Literal["/problems/malformed-request", "/problems/unauthorized", "/problems/forbidden", "/problems/not-found", "/problems/method-not-allowed", "/problems/legal-hold", "/problems/too-many-subscriptions", "/problems/too-many-webhooks", "/problems/payload-too-large", "/problems/url-too-long", "/problems/unsupported-media-type", "/problems/rate-limited", "/problems/headers-too-large", "/problems/internal", "/problems/overloaded", "/problems/unavailable", "/problems/read-timeout", "/problems/outcome-unknown", "/problems/store-storage-failed", "/problems/store-locked", "/problems/store-too-many-connections", "/problems/store-read-only", "/problems/store-restarting", "/problems/store-failed", "/problems/keyring-failed", "/problems/erasure-unfinished", "/problems/store-disk-full"]
    title: str
    status: int
    detail: str
    field: NotRequired[str]
    cause: NotRequired[str]


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

    position: int
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

    position: int
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
