"""Answers as typed models: the one definition behind JSON, the OpenAPI document and its examples.

`documents` builds them from the values of the application. The command line prints them, the HTTP service
sends them, and `http.openapi.schemas` derives their schemas: the docstrings here are the descriptions there.
Each is a plain dictionary at run time, so that encoding it costs no conversion. Its keys stand in the order
that `documents` writes them.
"""

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from offerlog_infrastructure.presentation.json_types import (
    AnyStateName,
    Count,
    Integer,
    Name,
    OutcomeName,
    Rate,
    ReasonName,
    Seconds,
    StageName,
    StateName,
    Time,
    TimeoutSeconds,
    Uuid,
    WallTime,
)


class Outcome(TypedDict):
    """Result of one signal.

    Attributes:
        outcome: Recorded, duplicate, parked or refused; `received` to a widget key.
        reason: Code of the refusal.
        action_id: The signal's action; null where the signal is unreadable.
        state: The signal's state; null where the signal is unreadable.
        field: Wire name of the field at fault, in a malformed signal.
        cause: What is wrong with the signal, for people.
    """

    outcome: OutcomeName
    reason: ReasonName | None
    action_id: Uuid | None
    state: AnyStateName | None
    field: NotRequired[str | None]
    cause: NotRequired[str | None]


class Outcomes(TypedDict):
    """Results of a request's signals.

    Attributes:
        outcomes: One for each signal, in the order of the request.
        position: Log position at which all of them are readable; null to a widget key.
    """

    outcomes: list[Outcome]
    position: Count | None


class Decision(TypedDict):
    """Decision about an offer.

    Attributes:
        decision: `offered` if the offer is recorded and may be shown.
        action_id: The action of the offer; of a blocked one, the action id that the caller sent.
        reason: Why the offer is blocked.
        state: State of the blocking action.
        since: When the blocking action reached that state.
        blocking_action_id: The blocking action.
    """

    decision: Literal["offered", "blocked"]
    action_id: Uuid | None
    reason: ReasonName | None
    state: StateName | None
    since: Time | None
    blocking_action_id: Uuid | None


class Eligibility(TypedDict):
    """Answer to the question whether a map may offer to a visitor.

    Attributes:
        eligible: The offer may be made.
        known: An event has been recorded for this visitor and action map.
        reason: Why the offer would be blocked.
        state: State of the blocking action.
        action_id: The blocking action.
        since: When the blocking action reached that state.
    """

    eligible: bool
    known: bool
    reason: ReasonName | None
    state: StateName | None
    action_id: Uuid | None
    since: Time | None


class Suppression(TypedDict):
    """An offer that must not be made to a visitor again.

    Attributes:
        customer_id: The visitor.
        customer_id_type: Type of the visitor's id.
        action_map_id: The action map that must not offer.
        state: The terminal state.
        action_id: The action that reached it.
        since: When the action reached it.
    """

    customer_id: Name
    customer_id_type: Name
    action_map_id: Uuid
    state: StateName
    action_id: Uuid
    since: Time


class Freshness(TypedDict):
    """Age of the data that a look-up answers from.

    Attributes:
        position: Log position of the last event in it.
        age_seconds: What was recorded longer ago is in it; null where this build cannot read the next event.
        short_by: Events that wait as dead letters and are missing, in all organizations.
    """

    position: Count
    age_seconds: Seconds | None
    short_by: Count


class Suppressions(Freshness):
    """Suppressions of one visitor, with their freshness.

    Attributes:
        position: Log position of the last event in it.
        age_seconds: What was recorded longer ago is in it; null where this build cannot read the next event.
        short_by: Events that wait as dead letters and are missing, in all organizations.
        suppressions: Sorted by action map.
    """

    suppressions: list[Suppression]


class VisitorSuppressions(TypedDict):
    """Suppressions of one visitor of a batch.

    Attributes:
        customer_id: The visitor.
        customer_id_type: Type of the visitor's id.
        suppressions: Sorted by action map.
    """

    customer_id: Name
    customer_id_type: Name
    suppressions: list[Suppression]


class SuppressionsOfMany(Freshness):
    """Suppressions of several visitors, with their freshness.

    Attributes:
        position: Log position of the last event in it.
        age_seconds: What was recorded longer ago is in it; null where this build cannot read the next event.
        short_by: Events that wait as dead letters and are missing, in all organizations.
        visitors: One entry for each visitor of the request, in its order.
    """

    visitors: list[VisitorSuppressions]


class SuppressionPage(TypedDict):
    """Page of an action map's suppressions, sorted by visitor.

    Attributes:
        items: The suppressions.
        next_cursor: Where the next page begins; null on the last page.
    """

    items: list[Suppression]
    next_cursor: str | None


class HistoryEvent(TypedDict):
    """Lifecycle event of a visitor-offer.

    Attributes:
        version: Place of the event in the visitor-offer, from 1.
        event: The state that the action reached.
        action_id: The action.
        stage: Stage at which the visitor rejected: `invitation` or `form`.
        occurred_at: When it happened.
        recorded_at: When the service recorded it.
        session_id: The visit.
        error_code: The widget's error code.
        error_message: The widget's error message.
        event_id: The id that the sender gave the event.
        action_map_version: Version of the action map.
        timeout_seconds: Seconds until an unanswered invitation times out.
    """

    version: Count
    event: StateName
    action_id: Uuid
    stage: StageName | None
    occurred_at: Time
    recorded_at: Time
    session_id: Uuid
    error_code: str | None
    error_message: str | None
    event_id: Uuid | None
    action_map_version: Integer | None
    timeout_seconds: TimeoutSeconds | None


class WholeHistory(TypedDict):
    """All lifecycle events of a visitor-offer, at one version.

    Attributes:
        known: An event has been recorded for this visitor and action map.
        state: State of the newest action.
        version: Number of lifecycle events.
        events: The events, oldest first.
    """

    known: bool
    state: StateName | None
    version: Count
    events: list[HistoryEvent]


class History(WholeHistory):
    """Page of a visitor-offer's lifecycle events.

    Attributes:
        known: An event has been recorded for this visitor and action map.
        state: State of the newest action.
        version: Number of lifecycle events, of all pages.
        events: The events of this page, oldest first.
        next_cursor: Where the next page begins; null on the last page.
    """

    next_cursor: str | None


class _Kept(TypedDict):
    """Text of a signal that was not recorded."""

    recorded_at: Time
    field: str | None
    cause: str | None
    signal: str
    signal_bytes: Count


class KeptSignal(_Kept):
    """A signal that was refused or is parked.

    Attributes:
        recorded_at: When the service kept it.
        reason: Code of the refusal; null for a parked signal.
        field: Wire name of the field at fault, in a malformed signal.
        cause: What is wrong with the signal, for people.
        signal: The text that came, cut at 4 KiB.
        signal_bytes: Length of the text that came, in bytes.
    """

    reason: ReasonName | None


class Refusal(_Kept):
    """A refused signal.

    Attributes:
        recorded_at: When the service refused it.
        reason: Code of the refusal.
        field: Wire name of the field at fault, in a malformed signal.
        cause: What is wrong with the signal, for people.
        signal: The text that came, cut at 4 KiB.
        signal_bytes: Length of the text that came, in bytes.
        number: Place among the refusals of the same time.
    """

    reason: ReasonName
    number: Count


class RefusalPage(TypedDict):
    """Page of refused signals.

    Attributes:
        items: The refusals, in the order asked for.
        next_cursor: Where the next page begins; null on the last page.
    """

    items: list[Refusal]
    next_cursor: str | None


class ReasonCount(TypedDict):
    """Number of refusals for one reason.

    Attributes:
        reason: The code.
        refusals: The number.
    """

    reason: ReasonName
    refusals: Count


class RefusalCounts(TypedDict):
    """Number of refusals by reason, in whole quarter-hours.

    Attributes:
        since: First instant that counts; null for the beginning.
        until: First instant that does not count any more; null for now.
        refusals: Number of all refusals.
        reasons: The most frequent reason first.
    """

    since: Time | None
    until: Time | None
    refusals: Count
    reasons: list[ReasonCount]


class Metrics(TypedDict):
    """Counts by the vendor's names.

    Attributes:
        nWebActionsOffered: Actions that were offered; visitors, if visitors are counted.
        nWebActionsAccepted: Accepted.
        nWebActionsRejected: Rejected, on the invitation or on the form.
        nWebActionsStarted: Started.
        nWebActionsAbandoned: Abandoned.
        nWebActionsEngaged: Engaged.
        nWebActionsIgnored: Ignored; in the full metric set only.
        nWebActionsErrored: Errored; in the full metric set only.
        nWebActionsTimedout: Timed out; in the full metric set only.
    """

    nWebActionsOffered: Count
    nWebActionsAccepted: Count
    nWebActionsRejected: Count
    nWebActionsStarted: Count
    nWebActionsAbandoned: Count
    nWebActionsEngaged: Count
    nWebActionsIgnored: NotRequired[Count]
    nWebActionsErrored: NotRequired[Count]
    nWebActionsTimedout: NotRequired[Count]


class Rates(TypedDict):
    """Rates of an action map in a bucket, not rounded.

    Attributes:
        accepted: Accepted ÷ offered; null where nothing was offered.
        engaged: Engaged ÷ accepted; null where nothing was accepted.
    """

    accepted: Rate | None
    engaged: Rate | None


class Row(TypedDict):
    """An action map in a bucket of a performance report.

    Attributes:
        action_map_id: The action map.
        action_map_name: Its newest known display name.
        bucket: First instant of the bucket; null for the total.
        metrics: Counts by the vendor's names.
        rates: Rates of these counts.
    """

    action_map_id: Uuid
    action_map_name: str | None
    bucket: WallTime | None
    metrics: Metrics
    rates: Rates


class Proof(TypedDict):
    """Evidence of the events that a projection has applied.

    Attributes:
        projection: Name of the projection.
        position: Log position of the last event applied.
        events: Number of events applied.
        digest: Sum of the squares of their positions, in decimal.
        short_by: Events that wait as dead letters and are missing.
    """

    projection: str
    position: Count
    events: Count
    digest: Annotated[str, Meta(pattern=r"^\d+$")]
    short_by: Count


ReportHead = TypedDict(
    "ReportHead",
    {"from": WallTime | None, "to": WallTime | None, "zone": str, "by": str, "short_by": NotRequired[Count]},
)
"""Time and grouping of a performance report, and the events that are missing from it, if any."""


class Performance(ReportHead):
    """Action Map Performance report.

    Attributes:
        from: First instant that counts; null for all time.
        to: First instant that does not count any more; null for all time.
        zone: IANA name of the zone whose wall time makes the buckets.
        by: Size of a bucket.
        short_by: Events that wait as dead letters and are missing; left out where it is 0.
        rows: Sorted by action map, then by bucket.
        proof: Evidence of the events counted, if it was asked for.
    """

    rows: list[Row]
    proof: NotRequired[Proof]


class ChangedRows(TypedDict):
    """Rows of a live report that have changed.

    Attributes:
        position: Log position that the rows show.
        rows: Rows of the full report in total.
    """

    position: Count
    rows: list[Row]


class Change(TypedDict):
    """Server-Sent Event of a live report.

    Attributes:
        event: Name of the event.
        id: Mark of the report, to be sent back as `Last-Event-ID`.
        data: `ChangedRows` as JSON text.
    """

    event: Literal["metrics"]
    id: Annotated[str, Meta(pattern=r"^\d+-\d+-\d+-[0-9a-f]+$")]
    data: Annotated[
        str,
        Meta(
            extra_json_schema={
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": "#/components/schemas/ChangedRows"},
            }
        ),
    ]


class ActionMap(TypedDict):
    """Action map that has been counted.

    Attributes:
        action_map_id: The action map.
        action_map_name: Its newest known display name.
    """

    action_map_id: Uuid
    action_map_name: str | None


class ActionMaps(TypedDict):
    """Page of action maps, sorted by id.

    Attributes:
        action_maps: The action maps.
        next_cursor: Where the next page begins; null on the last page.
    """

    action_maps: list[ActionMap]
    next_cursor: str | None


class ProjectionProgress(TypedDict):
    """Progress of a projection.

    Attributes:
        projection: Name of the projection.
        position: Log position of the last event applied.
        lag_events: Number of events not applied yet.
        lag_seconds: Age of the oldest of them; 0 without any, null where this build cannot read that event.
    """

    projection: str
    position: Count
    lag_events: Count
    lag_seconds: Seconds | None


class ProjectionStatus(ProjectionProgress):
    """Progress of a projection, with the events that it is missing.

    Attributes:
        projection: Name of the projection.
        position: Log position of the last event applied.
        lag_events: Number of events not applied yet.
        lag_seconds: Age of the oldest of them; 0 without any, null where this build cannot read that event.
        short_by: Events that wait as dead letters and are missing.
    """

    short_by: Count


class Projections(TypedDict):
    """Progress of every projection.

    Attributes:
        projections: Sorted by name.
    """

    projections: list[ProjectionStatus]


class Alive(TypedDict):
    """Answer of a process that runs.

    Attributes:
        status: Always `ok`.
    """

    status: Literal["ok"]


class Ready(TypedDict):
    """Answer of a service that can serve.

    Attributes:
        status: Always `ok`.
        lag_seconds: Lag of the slowest projection.
        waits_for: Trouble of the store that the service is waiting out.
    """

    status: Literal["ok"]
    lag_seconds: Seconds
    waits_for: str | None
