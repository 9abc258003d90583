"""The rows that the read side lists, as the projections hold them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_domain.errors import OfferlogError
from offerlog_domain.outcomes import Reason


class Order(StrEnum):
    """The order of a list by time; the values are what callers write."""

    OLDEST = "oldest"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class Suppression:
    """An offer that must not be made to this visitor again.

    Attributes:
        customer_id: Who.
        customer_id_type: What kind of id that is.
        action_map_id: What.
        state: The terminal state it came to.
        action_id: In which action.
        since: When (`occurred_at`).
    """

    customer_id: str
    customer_id_type: str
    action_map_id: str
    state: str
    action_id: str
    since: datetime


class Lookup(NamedTuple):
    """The answer to a look-up: the maps that must not offer to a visitor, and how current that is.

    Attributes:
        position: Everything up to this position of the log is in it.
        age: Everything recorded more than so many seconds ago is in it.
        suppressions: Sorted by map.
    """

    position: int
    age: float
    suppressions: Sequence[Suppression]


MOST_SUPPRESSIONS: Final = 10_000
"""Suppressions in the answer to one batch of visitors."""


class TooManySuppressionsError(OfferlogError):
    """The visitors of a batch together have more suppressions than one answer holds."""

    def __init__(self) -> None:
        self.field = "visitors"
        self.cause = (
            f"they have more than {MOST_SUPPRESSIONS:,} suppressions together: ask for fewer at a time"
        )
        super().__init__(self.cause)


class ReplicaStaleError(OfferlogError):
    """The local copy is too old to offer by; ask the store, or offer nothing.

    Attributes:
        age: How old it is, in seconds; None where it has not been made yet.
    """

    def __init__(self, age: float | None, bound: float, cause: Exception | None) -> None:
        how_old = "is not there yet" if age is None else f"is {age:.1f} s old, and {bound:g} s are allowed"
        super().__init__(f"the local suppression list {how_old}" + (f": {cause}" if cause else ""))
        self.age = age


class NoReplicaError(OfferlogError, RuntimeError):
    """The service was opened without a local copy of the suppression list."""

    def __init__(self) -> None:
        super().__init__("open_offerlog was not given a folder for the local suppression list (`replica`)")


@dataclass(frozen=True, slots=True)
class KeptSignal:
    """A signal that was not recorded: refused, or parked (then without a reason).

    Attributes:
        recorded_at: When, by the service's clock.
        reason: Why it was refused.
        field: The wire name of the field at fault, for a malformed one.
        cause: What is wrong with it, for people.
        raw: The text as it came, cut at 4 KiB (older ones at 64 KiB).
        raw_length: Bytes of the text as it came.
        number: Its place among refusals of the same time; 0 for a parked one.
    """

    recorded_at: datetime
    reason: Reason | None
    field: str | None
    cause: str | None
    raw: bytes
    raw_length: int
    number: int = 0


@dataclass(frozen=True, slots=True)
class RefusalCounts:
    """Refusals by reason in whole quarter-hours of the service's clock, exact, also after the log was pruned.

    Attributes:
        since: The first instant that counts; None for all that came before, too.
        until: The first instant that counts no longer; None for all that comes after, too.
        counts: Number of refusals by reason, the most frequent first; reasons without refusals are left out.
    """

    since: datetime | None
    until: datetime | None
    counts: Mapping[Reason, int]


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """The position of a projection in the log, and its lag.

    Attributes:
        name: Which.
        position: The position of the last event it has taken in.
        lag_events: How many events of the log it has not; beyond 10,000 the number of positions instead,
            which is cheap to know and may be larger.
        lag_seconds: How long ago the oldest of those was recorded; 0 when there are none, None when this
            build cannot read that event.
    """

    name: str
    position: int
    lag_events: int
    lag_seconds: float | None
    short_by: int = 0


@dataclass(frozen=True, slots=True)
class Freshness:
    """The position of the look-ups in the log, and their lag.

    Attributes:
        position: The position of the last event they know.
        age_seconds: What was recorded longer ago is in them; None when this build cannot read the next event.
        short_by: How many events of that, in all organizations, wait as dead letters and are not.
    """

    position: int
    age_seconds: float | None
    short_by: int


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """A slice of the streams of which a projection has not folded in what the log holds.

    Attributes:
        slice: Which, from 0 to 15: the first hexadecimal digit of the stream's id.
        expected: How many events the log holds of it, up to the projection's position.
        events: How many were folded in.
    """

    slice: int
    expected: int
    events: int


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof of which events a projection has folded in.

    Attributes:
        projection: Which projection.
        position: Up to which position.
        events: How many events.
        digest: The sum of the squares of their positions, in decimal.
        short_by: How many events wait as dead letters, not folded in.
        edition: Another one after each rebuild: by other code, the same events may come to other figures.
        differences: Where the log says otherwise; empty where it agrees or was not asked.
    """

    projection: str
    position: int
    events: int
    digest: str
    short_by: int
    edition: int
    differences: tuple[SliceDifference, ...] = ()

    @property
    def mark(self) -> str:
        """Stays the same as long as the projection's answers do.

        More than a position: dead letters may be taken in, and the projection built anew, at the same one.
        """
        return f"{self.position}-{self.events}-{self.short_by}-{self.edition:x}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A visitor-offer that a projection could not take in from some event on; the rest went on.

    Attributes:
        projection: Which projection.
        stream: The visitor-offer.
        position: The position of the event that could not be applied.
        version: That event's place in the stream.
        topic: Its stored name and version.
        error: Why.
        dead_at: Since when.
        waiting: How many events of that visitor-offer wait, that one included.
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
    """One stored name and version.

    Attributes:
        topic: The name and the version.
        events: How many events the log holds of it.
        first: The position of the first of them.
        last: The position of the last.
        sampled: How many of them were read.
        error: Why this build cannot read one of those; None where it can read all.
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
        position: The position asked for.
        reached: The position they are at.
        cause: What stops the projector of this process, if anything does.
    """

    def __init__(self, position: int, reached: int, cause: Exception | None) -> None:
        why = f": {cause}" if cause else "; see `offerlog projections status`"
        super().__init__(f"the projections are at position {reached}, not yet at {position}{why}")
        self.position = position
        self.reached = reached
        self.cause = cause
