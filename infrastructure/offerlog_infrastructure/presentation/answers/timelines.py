"""Answers about everything that is known of one visitor."""

from typing import TypedDict

from offerlog_infrastructure.presentation.json_types import (
    AnyStateName,
    Count,
    Integer,
    ReasonName,
    StageName,
    StateName,
    Time,
    TimeoutSeconds,
    Uuid,
)


class EarlierAction(TypedDict):
    """An action of the same visitor and action map, as it stood when an offer was decided.

    Attributes:
        action_id: The action.
        state: The state that it was in.
        since: When it reached that state.
    """

    action_id: Uuid
    state: StateName
    since: Time


class TimelineEntry(TypedDict):
    """An event of the log, or a refused signal.

    Attributes:
        kind: What happened: a state of an action, `offer-refused`, `signal-parked` or `parking-ended` for an
            event; `refused` for a refused signal.
        summary: The same in words, for people; for a second offer with the reason why nothing blocked it.
        recorded_at: When the service recorded it.
        occurred_at: When it happened; null where nothing says so.
        action_map_id: The action map; null for a refused text that cannot be read.
        action_id: The action; null where the text cannot be read.
        action_number: Number of the action for this visitor and map, from 1, where the action changed.
        state: The state that the signal reports; null where the text cannot be read.
        stage: Stage at which the visitor rejected: `invitation` or `form`.
        reason: Code of the refusal, of an offer or of a signal.
        position: The event's position in the log; null for a refused signal.
        version: The event's place among all events of this visitor and map; null for a refused signal.
        session_id: The visit.
        event_id: The id that the sender gave the event.
        error_code: The widget's error code.
        error_message: The widget's error message.
        action_map_version: Version of the action map.
        timeout_seconds: Seconds until an unanswered invitation times out.
        previous_action: Of an offer that was made: the action before it, which did not block it.
        blocked_by: Of an offer that was refused: the action that blocked it.
        ended_versions: The `version` of each parked signal that this event ended.
        field: Wire name of the field at fault, in a malformed signal.
        cause: What is wrong with the signal, for people.
        signal: The text of a refused or parked signal, cut at 4 KiB.
        signal_bytes: Length of the text that came, in bytes.
    """

    kind: str
    summary: str
    recorded_at: Time
    occurred_at: Time | None
    action_map_id: Uuid | None
    action_id: Uuid | None
    action_number: Count | None
    state: AnyStateName | None
    stage: StageName | None
    reason: ReasonName | None
    position: Count | None
    version: Count | None
    session_id: Uuid | None
    event_id: Uuid | None
    error_code: str | None
    error_message: str | None
    action_map_version: Integer | None
    timeout_seconds: TimeoutSeconds | None
    previous_action: EarlierAction | None
    blocked_by: EarlierAction | None
    ended_versions: list[Count]
    field: str | None
    cause: str | None
    signal: str | None
    signal_bytes: Count | None


class Timeline(TypedDict):
    """Page of everything that is known of a visitor, in the order in which it was recorded.

    Attributes:
        items: Events and refused signals.
        next_cursor: Where the next page begins; null on the last page.
    """

    items: list[TimelineEntry]
    next_cursor: str | None
