"""Answers about signals: their outcomes, and the signals that were kept."""

from typing import NotRequired, TypedDict

from offerlog_infrastructure.presentation.json_types import (
    AnyStateName,
    Count,
    OutcomeName,
    Position,
    ReasonName,
    Time,
    Uuid,
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
    position: Position | None


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
