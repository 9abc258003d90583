"""The shards of an installation: several stores that share the visitors, slice by slice, and their errors."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.read_models import ProjectionStatus
from offerlog_domain.errors import OfferlogError
from offerlog_domain.stream_ids import format_slices, slice_of

HOME: Final = 0
"""The number of the shard that has the directory of the slices, the organizations and the keys."""

MOST_SHARDS: Final = 8_191
"""The highest number of a shard: its positions stay below 2^53."""


class ShardMap(NamedTuple):
    """The shard of each slice, as the directory of the home has it.

    Attributes:
        shards: The number of the shard, by slice.
        epochs: The epoch of the answer, by slice: of two answers, that of the higher epoch counts.
        others: The numbers of all shards but the home, also of those without a slice.
        unowned: The slices that no shard owns now, where all of them were asked.
    """

    shards: Sequence[int]
    epochs: Sequence[int]
    others: Collection[int] = ()
    unowned: Collection[int] = ()

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of all shards, ascending; a shard without slices may still hold counts."""
        return sorted({HOME, *self.shards, *self.others})

    def shard_of(self, name: UUID) -> int:
        """Return the number of the shard of a visitor's digest."""
        return self.shards[slice_of(name)]

    def slices_of(self, shard: int) -> Sequence[int]:
        """Return the slices of a shard, ascending."""
        return [number for number, owner in enumerate(self.shards) if owner == shard]


@dataclass(frozen=True, slots=True)
class ShardState:
    """A shard, as an operator sees it.

    Attributes:
        number: Its number; 0 for the home.
        url: Its address, without a password; None for the home.
        slices: The slices that the directory gives it.
        owned: The slices that its store owns; None while it cannot be reached.
        visitors: Number of visitors that it holds; None likewise.
        trouble: Why it cannot be reached; None if it can be.
    """

    number: int
    url: str | None
    slices: Sequence[int]
    owned: Collection[int] | None
    visitors: int | None
    trouble: str | None = None


class HeldSlices(NamedTuple):
    """The slices that a store has, at one moment.

    Attributes:
        owned: Those that it owns.
        leaving: Those that it has given away, and whose rows it still has.
        epochs: The epoch of each slice in the store. It changes with each change of the owner.
    """

    owned: frozenset[int]
    leaving: frozenset[int]
    epochs: tuple[int, ...]


class MoveStep(NamedTuple):
    """A step of a move that has ended.

    Attributes:
        name: What was done, or waited for.
        seconds: How long it took.
        has_owner: False if the slice had no owner meanwhile.
    """

    name: str
    seconds: float
    has_owner: bool


class MovedSlice(NamedTuple):
    """A slice that was moved.

    Attributes:
        source: The number of the shard that had it; that of the target, if there was nothing to do.
        events: Number of events that have moved.
        seconds: How long no shard owned it, as far as it is known.
        steps: The steps of the move, in order; none if there was nothing to do.
    """

    source: int
    events: int
    seconds: float
    steps: Sequence[MoveStep] = ()


class MoveProgress(NamedTuple):
    """The progress of a slice that moves between two shards.

    Attributes:
        slice: The slice.
        source: The number of the shard that has had it.
        target: The number of the shard that gets it.
        step: What is being done: `copying`, `comparing`, `fenced` (no shard owns it, and its signals wait),
            or `leaving` (the target has it, and the source deletes its rows). Of a move that was interrupted
            and that a service has ended: `undone` or `completed`.
        copied: Number of events copied so far.
        events: Number of events of the slice, as far as it is known.
    """

    slice: int
    source: int
    target: int
    step: str
    copied: int
    events: int


ENDED_STEPS: Final = ("undone", "completed")
"""The steps of moves that were interrupted, and that a service has ended."""


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """The progress of the projections of one shard.

    Attributes:
        number: The number of the shard; 0 for the home, and for a store that is the only one.
        statuses: The projections; none while the shard does not answer.
        trouble: Why it does not; None if it does.
    """

    number: int
    statuses: Sequence[ProjectionStatus]
    trouble: "ShardUnavailableError | None" = None


class Directory(Protocol):
    """The directory on the home; thread-safe.

    Each method raises `StoreUnavailableError` if the home cannot be reached.
    """

    def read_map(self) -> ShardMap:
        """Return the shard of each slice, as it is now."""

    def addresses(self) -> Mapping[int, str]:
        """Return the addresses of all shards but the home, by number."""

    def moves(self) -> Sequence[MoveProgress]:
        """Return the moves of slices that are under way, or were interrupted last, by slice."""


@dataclass(frozen=True, slots=True)
class FixedDirectory:
    """A `Directory` that is known beforehand: that of servers which are being restored.

    Attributes:
        shard_map: The shard of each slice.
        urls: The addresses of all shards but the home, by number.
    """

    shard_map: ShardMap
    urls: Mapping[int, str]

    def read_map(self) -> ShardMap:
        """Return the shard of each slice."""
        return self.shard_map

    def addresses(self) -> Mapping[int, str]:
        """Return the addresses."""
        return self.urls

    def moves(self) -> Sequence[MoveProgress]:
        """Return nothing: no slice moves before the restore has ended."""
        return ()


class MovesUpkeep(Protocol):
    """The upkeep of moves; for one thread."""

    def end_interrupted(self, numbers: Collection[int]) -> None:
        """End the moves of slices whose mover is gone, as far as their shards can be reached.

        Args:
            numbers: The numbers of the shards, as far as they are known.

        Raises:
            StoreUnavailableError: A shard cannot be reached. The next call tries again.
            ClosedError: The service has been closed.
        """


class ShardError(OfferlogError):
    """The shards of an installation cannot be set up or used so; says why, and what to do."""


class ShardArgumentError(ShardError):
    """The call names a shard or an address that it cannot mean."""


class ShardBusyError(ShardError):
    """Another process is at work on the same shard or slice; the same call may succeed later."""


class ShardUnreachedError(ShardError):
    """A shard that is needed is not among those that can be reached."""


class NotOverShardsError(OfferlogError):
    """A use that does not work over several servers yet; nothing was done.

    Attributes:
        what: The use.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f'{what}: this does not work over several servers yet: see docs/operations.md, "Several servers"'
        )
        self.what = what


class ShardUnavailableError(StoreUnavailableError):
    """A shard cannot do its work now, so what its slices have is missing; the other shards go on.

    Attributes:
        shard: Its number.
        slices: Its slices.
    """

    def __init__(self, shard: int, slices: Sequence[int], cause: StoreUnavailableError) -> None:
        super().__init__(cause.detail, cause.trouble, table=cause.table, holder=cause.holder)
        self.shard = shard
        self.slices = slices
        of_shard = f"shard {shard} (slices: {format_slices(slices)})"
        self.summary = f"{of_shard}: {self.summary}"
        self.args = (f"{of_shard}: {self.args[0]}",)


class SliceInMotionError(ShardUnavailableError):
    """A slice moves from one shard to another, and has taken longer than it should; try again soon.

    Attributes:
        shard: The shard that has had it, as far as it is known.
        slices: The slices.
    """

    def __init__(self, shard: int, slices: Sequence[int]) -> None:
        super().__init__(shard, slices, StoreUnavailableError())
        self.summary = (
            f"slice {format_slices(slices)} is on its way from one server to another; try again in a moment"
            " (see `offerlog shards status`)"
        )
        self.args = (self.summary,)


class EndUnknownError(ShardUnavailableError):
    """The present end of all logs is wanted, and that of a server that does not answer is not known.

    Args:
        error: The error of that server.
        instead: What can be done without that server.
    """

    def __init__(self, error: ShardUnavailableError, instead: str) -> None:
        super().__init__(
            error.shard,
            error.slices,
            StoreUnavailableError(error.detail, error.trouble, table=error.table, holder=error.holder),
        )
        words = (
            "; nothing was changed, as the end of its log is not known meanwhile: try again once it answers,"
            f" or {instead}"
        )
        self.summary += words
        self.args = (f"{self.args[0]}{words}",)


class PartlyRecordedError(OfferlogError):
    """Some of the signals of a request were recorded, and a shard could not record the others.

    Send the same request again: what was recorded is recognised.

    Attributes:
        because: The error of that shard.
    """

    def __init__(self, because: BaseException) -> None:
        super().__init__(
            f"a part of the request was recorded, and another was not ({because}); send the same signals"
            " again: what was recorded is recognised"
        )
        self.because = because
