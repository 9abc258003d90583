"""The answers of the service: an outcome for every signal, made or blocked for every requested offer."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_domain.lifecycle import State

KEPT_TEXT_BYTES: Final = 4096
"""Bytes that are kept of the text of a refused or parked signal."""


class OutcomeKind(StrEnum):
    """The outcome of a signal; every signal has exactly one."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    PARKED = "parked"
    REFUSED = "refused"


class Reason(StrEnum):
    """The reason of a refusal; a stable code."""

    MALFORMED = "malformed"
    NOT_TRACKED = "not_tracked"
    FROM_THE_FUTURE = "from_the_future"
    TOO_OLD = "too_old"
    CONFLICTING_DUPLICATE = "conflicting_duplicate"
    OFFER_REFUSED = "offer_refused"
    TERMINAL_STATE = "terminal_state"
    ALREADY_OPEN = "already_open"
    ACTION_OVER = "action_over"
    NOT_LEGAL = "not_legal"
    CROWDED = "crowded"
    NEVER_REACHABLE = "never_reachable"


class Outcome(NamedTuple):
    """The outcome of one signal, with what identifies the signal.

    Attributes:
        kind: Recorded, duplicate, parked or refused.
        reason: The reason of a refusal; None otherwise.
        action_id: The signal's own action, None where the signal is unreadable.
        state: The signal's own state as it spells it, None where the signal is unreadable.
        field: The wire name of the field at fault, for a malformed one.
        cause: What is wrong with it, for people.
        event_id: The signal's own id; None where it has none or is unreadable.
    """

    kind: OutcomeKind
    reason: Reason | None = None
    action_id: str | None = None
    state: str | None = None
    field: str | None = None
    cause: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Blocker:
    """The reason why no new offer may be made to a visitor.

    Attributes:
        reason: `terminal_state` or `already_open`.
        state: The state that the blocking action is in.
        action_id: The blocking action.
        since: When it reached that state (its `occurred_at`).
    """

    reason: Reason
    state: State
    action_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class OfferMade:
    """The offer may be shown: it is recorded.

    Attributes:
        action_id: The action of the offer.
        position: The position of the log at which a projection shows it; None where it was recorded before.
    """

    action_id: str
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class OfferBlocked:
    """The offer must not be shown.

    Attributes:
        action_id: The action id that the caller brought; None if it brought none.
        by: What stands against it.
    """

    action_id: str | None
    by: Blocker


OfferOutcome = OfferMade | OfferBlocked


@dataclass(frozen=True, slots=True)
class Refusal:
    """One line of the refusal log.

    Attributes:
        organization: The tenant whose signal it was.
        recorded_at: When it was refused, by the service's clock.
        reason: The reason code.
        field: The wire name of the field at fault, for a malformed one.
        cause: What is wrong with it, for people.
        raw: The text as it came, cut at `KEPT_TEXT_BYTES`.
        raw_length: Bytes of the text that came, where `raw` is cut; None where all of it is kept.
        visitor_digest: The visitor, by the keyed digest of an `OrganizationKey`; None where the text does not
            say whose it is.
        action_map_id: The action map; None where the text cannot be read.
        parked_number: The number of the short signal that has waited elsewhere, as it is kept once, however
            often it is refused; None for any other signal.
    """

    organization: str
    recorded_at: datetime
    reason: Reason
    field: str | None
    cause: str | None
    raw: bytes
    raw_length: int | None = None
    visitor_digest: UUID | None = None
    action_map_id: UUID | None = None
    parked_number: int | None = None


def cut_text(raw: bytes) -> tuple[bytes, int | None]:
    """Return the part of a text that is kept; with it the length of the text, or None if all of it is kept.

    Source: docs, "What happens to a signal": refused and parked texts are cut at 4 KiB.
    """
    if len(raw) <= KEPT_TEXT_BYTES:
        return raw, None
    return raw[:KEPT_TEXT_BYTES], len(raw)
