"""Answers about offers: decisions, suppressions and the history of a visitor-offer."""

from typing import Literal, TypedDict

from offerlog_infrastructure.presentation.json_types import (
    Count,
    Integer,
    Name,
    Position,
    ReasonName,
    Seconds,
    StageName,
    StateName,
    Time,
    TimeoutSeconds,
    Uuid,
)


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


class Freshness(TypedDict):
    """Age of the data that a look-up answers from.

    Attributes:
        position: Log position of the last event in it.
        age_seconds: What was recorded longer ago is in it; null where this build cannot read the next event.
        short_by: Events that wait as dead letters and are missing, in all organizations.
    """

    position: Position
    age_seconds: Seconds | None
    short_by: Count


class Suppression(TypedDict):
    """An offer that must not be made to a visitor again.

    Attributes:
        customer_id: The visitor.
        customer_id_type: Type of the visitor's id.
        action_map_id: The action map that must not offer.
        state: The terminal state.
        action_id: The action that reached it.
        since: When the action reached it.
        until: When the suppression ends, by the policy of the map that is in force; null for never.
    """

    customer_id: Name
    customer_id_type: Name
    action_map_id: Uuid
    state: StateName
    action_id: Uuid
    since: Time
    until: Time | None


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
    """Page of an action map's suppressions, in the order in which the visitors came.

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
