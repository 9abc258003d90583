"""Rows, look-ups and counts that the read side returns, and their errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_application.ports.positions import LogPosition
from offerlog_domain.errors import ArgumentError, OfferlogError
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.outcomes import Reason


class Order(StrEnum):
    """The order of a list by time. Callers write the values."""

    OLDEST = "oldest"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class Suppression:
    """An action map that must not offer to a visitor again.

    Attributes:
        customer_id: The visitor's id.
        customer_id_type: The type of that id.
        action_map_id: The action map.
        state: The terminal state that an action reached.
        action_id: That action.
        since: The time of that state (`occurred_at`).
        until: The end of the suppression by the policy of the map that is in force; None for never.
    """

    customer_id: str
    customer_id_type: str
    action_map_id: str
    state: str
    action_id: str
    since: datetime
    until: datetime | None = None


class Lookup(NamedTuple):
    """The answer to a look-up: the maps that must not offer to a visitor, with the age of the copy.

    Attributes:
        position: The copy holds all events up to this position of the log.
        age: The copy holds all events that were recorded more than so many seconds ago.
        suppressions: The suppressions, sorted by map.
    """

    position: int
    age: float
    suppressions: Sequence[Suppression]


MAX_SUPPRESSIONS: Final = 10_000
"""The most suppressions in the answer to one batch of visitors."""


class TooManySuppressionsError(OfferlogError, ValueError):
    """The visitors of a batch together have more suppressions than one answer holds.

    Attributes:
        field: The argument at fault, `visitors`.
        cause: The fault and what to do.
    """

    def __init__(self) -> None:
        self.field = "visitors"
        self.cause = (
            f"they have more than {MAX_SUPPRESSIONS:,} suppressions together: ask for fewer at a time"
        )
        super().__init__()

    def __str__(self) -> str:
        return self.cause


class UnknownVisitorError(ArgumentError):
    """A list cannot be continued behind a visitor of whom no event was recorded."""

    def __init__(self) -> None:
        super().__init__(
            "behind",
            "the visitor after whom the list continues is unknown: begin the list again",
        )


class ReplicaStaleError(OfferlogError):
    """The local copy is too old for a decision about an offer; ask the store, or offer nothing.

    Attributes:
        age: The age of the copy in seconds; None if it has not been made yet.
    """

    def __init__(self, age: float | None, bound: float, cause: Exception | None) -> None:
        how_old = "is not there yet" if age is None else f"is {age:.1f} s old, and {bound:g} s are allowed"
        super().__init__(
            f"the local suppression list {how_old}"
            + (f": {cause}" if cause else "")
            + "; ask the store, or do not offer"
        )
        self.age = age


class NoReplicaError(OfferlogError, RuntimeError):
    """The service was opened without a local copy of the suppression list."""

    def __init__(self) -> None:
        super().__init__("open_offerlog was not given a folder for the local suppression list (`replica`)")


@dataclass(frozen=True, slots=True)
class KeptSignal:
    """A signal that was refused or parked.

    Attributes:
        recorded_at: The time of its refusal or parking, by the service's clock.
        reason: The reason of its refusal; None for a parked signal.
        field: The wire name of the field at fault, for a malformed signal.
        cause: The fault, for people.
        raw: The text as it was received, cut at 4 KiB (older ones at 64 KiB).
        raw_length: Bytes of the text as it was received.
        number: Its place among refusals, or among parked signals, of the same time: of these the position of
            the event, and 0 for one that names its action alone.
        action_map_id: The action map of a refusal; None for a parked signal, and where the text does not say.
    """

    recorded_at: datetime
    reason: Reason | None
    field: str | None
    cause: str | None
    raw: bytes
    raw_length: int
    number: int = 0
    action_map_id: str | None = None


class PlacedEvent(NamedTuple):
    """An event with its place in the log.

    Attributes:
        position: Its position.
        recorded: The event in its stream.
        before: For an offer that was made: the last lifecycle event of that stream before it. None for the
            first offer, and for every other event.
    """

    position: int
    recorded: RecordedEvent[Event]
    before: RecordedEvent[Event] | None = None


@dataclass(frozen=True, slots=True)
class RefusalCounts:
    """Exact numbers of refusals by reason in whole quarter-hours of the service's clock.

    Refusals that were pruned from the log count too.

    Attributes:
        since: The beginning of the period; None if it has no beginning.
        until: The end of the period, which is not included; None if it has no end.
        counts: Number of refusals by reason, the most frequent first; reasons without refusals are left out.
    """

    since: datetime | None
    until: datetime | None
    counts: Mapping[Reason, int]


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """The position of a projection in the log, and its lag.

    Attributes:
        name: The projection's name.
        position: The position of the last event that it has applied.
        lag_events: Number of events that it has not applied. Above 10,000 it is the number of positions
            instead, which is cheap to find and may be larger.
        lag_seconds: Seconds since the oldest of those events was recorded; 0 if there are none, None if this
            build cannot read that event.
        short_by: Number of events that wait as dead letters.
    """

    name: str
    position: int
    lag_events: int
    lag_seconds: float | None
    short_by: int = 0


@dataclass(frozen=True, slots=True)
class Freshness:
    """The position of the suppression list in the log, and its age.

    Attributes:
        position: The position of the last event that it has applied; of several, with several servers.
        age_seconds: The list holds all events that were recorded longer ago; None if this build cannot read
            the next event.
        short_by: Number of events, in all organizations, that it lacks because they wait as dead letters.
    """

    position: LogPosition
    age_seconds: float | None
    short_by: int


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """A slice of the streams for which projection and log differ.

    Attributes:
        slice: Its number, from 0 to 15: the first hexadecimal digit of the stream's id.
        expected: Number of its events in the log, up to the projection's position.
        events: Number of its events that the projection has applied.
    """

    slice: int
    expected: int
    events: int


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof of the events that a projection has applied.

    Attributes:
        projection: The projection's name.
        position: The projection's position; with several servers, a vector.
        events: Number of events applied.
        digest: The sum of the squares of their positions, in decimal.
        short_by: Number of events that wait as dead letters, not applied.
        edition: A number that each rebuild changes: other code may make other figures of the same events.
        differences: The slices that differ from the log; empty if none differs, or if none was compared.
    """

    projection: str
    position: LogPosition
    events: int
    digest: str
    short_by: int
    edition: int
    differences: tuple[SliceDifference, ...] = ()

    @property
    def mark(self) -> str:
        """A text that stays the same as long as the projection's answers do.

        A position is not enough. At the same position, dead letters may be applied, or the projection may be
        rebuilt.
        """
        return f"{self.position}-{self.events}-{self.short_by}-{self.edition:x}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A visitor-offer that a projection could not apply from some event on. All others were applied.

    Attributes:
        projection: The projection's name.
        stream: The visitor-offer.
        position: The position of the event that could not be applied.
        version: That event's place in the stream.
        topic: Its stored name and version.
        error: The error.
        dead_at: The time of the error.
        waiting: Number of events of that visitor-offer that wait, that one included.
    """

    projection: str
    stream: UUID
    position: int
    version: int
    topic: str
    error: str
    dead_at: datetime
    waiting: int


@dataclass(frozen=True, slots=True)
class StoredKind:
    """A kind of stored events: one stored name and version.

    Attributes:
        topic: The name and the version.
        events: Number of events of this kind in the log.
        first: The position of the first of them.
        last: The position of the last of them.
        sampled: Number of them that were read.
        error: The error of one that this build cannot read; None if it can read all of those.
    """

    topic: str
    events: int
    first: int
    last: int
    sampled: int
    error: str | None


class ProjectionsBehindError(OfferlogError):
    """The projections did not reach a position in time.

    Attributes:
        position: The position that the caller waited for.
        reached: The position of the projections.
        cause: The error that stops the projector of this process; None if there is none.
    """

    def __init__(self, position: int, reached: int, cause: Exception | None) -> None:
        why = f": {cause}" if cause else "; see `offerlog projections status`"
        super().__init__(f"the projections are at position {reached}, not yet at {position}{why}")
        self.position = position
        self.reached = reached
        self.cause = cause
