"""The port to the log in slices of whole visitors, for a replay by other processes and machines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID


class TableDigest(NamedTuple):
    """The contents of a table of a projection, or of a part of it.

    The digests of two parts add up to that of both.

    Attributes:
        total: The number of rows; for a table of counts, the sum of the counts.
        digest: The sum of a digest of each row, or of each count times the digest of its place, modulo 2^64.
    """

    total: int
    digest: int

    def plus(self, other: "TableDigest") -> "TableDigest":
        """Return the digest of both parts."""
        return TableDigest(self.total + other.total, (self.digest + other.digest) % (1 << 64))


@dataclass(frozen=True, slots=True)
class ProjectionDigest:
    """The events that a projection has applied, and what they came to; of the whole log or of a part.

    Attributes:
        events: The number of events.
        digest: The sum of the squares of their positions, as in the running proof.
        tables: The contents of its tables.
    """

    events: int
    digest: int
    tables: Mapping[str, TableDigest]

    def __add__(self, other: "ProjectionDigest") -> "ProjectionDigest":
        names = self.tables.keys() | other.tables.keys()
        nothing = TableDigest(0, 0)
        return ProjectionDigest(
            self.events + other.events,
            self.digest + other.digest,
            {
                name: self.tables.get(name, nothing).plus(other.tables.get(name, nothing))
                for name in sorted(names)
            },
        )


class SliceBounds(NamedTuple):
    """A range of stream ids that holds whole visitors; both ends belong to it."""

    low: UUID
    high: UUID


@dataclass(frozen=True, slots=True)
class LiveProjections:
    """The live projections at one moment.

    Attributes:
        store: Tells this store from others.
        positions: The position of each projection.
        waiting: For each projection, the streams that wait as dead letters, and from which version on.
        shard: The number of the store among several; 0 where it is the only one.
        contents: The events that each projection has applied, and the contents of its tables.
    """

    store: str
    positions: Mapping[str, int]
    waiting: Mapping[str, Mapping[UUID, int]]
    shard: int
    contents: Mapping[str, ProjectionDigest]


StoredRow = tuple[int, UUID, int, str, bytes]
"""A stored event: position, stream, version, topic, and the bytes of its state."""


class SliceSource(Protocol):
    """The log in slices; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def live(self) -> LiveProjections:
        """Read the live projections, all at one moment. Reads every row of their tables."""

    def name_store(self) -> str:
        """Return what tells this store from others."""

    def code(self) -> str:
        """Return a digest of the code that decides what a projection holds."""

    def divide(self, position: int) -> Sequence[SliceBounds]:
        """Divide the streams into slices with a modest number of events up to a position."""

    def read(self, bounds: SliceBounds, position: int) -> Iterator[Sequence[StoredRow]]:
        """Read the events of a slice, in order of stream and version, page by page.

        Those up to a position, and all that another shard has recorded.
        """


class SliceSources(Protocol):
    """The logs of all stores in slices; thread-safe.

    Each method raises `StoreUnavailableError` if a store cannot be reached.
    """

    def all(self) -> Mapping[int, SliceSource]:
        """Return the log of each store by its number; 0 for the only one."""

    def read_placement(self) -> Mapping[int, Sequence[int]] | None:
        """Return what changes whenever a slice goes from one store to another; None for an only store.

        Raises:
            SliceInMotionError: A slice is on its way.
        """


class OnlySliceSource:
    """The `SliceSources` of a store that is the only one.

    Args:
        source: Its log.
    """

    def __init__(self, source: SliceSource) -> None:
        self._source = source

    def all(self) -> Mapping[int, SliceSource]:
        """Return that log."""
        return {0: self._source}

    def read_placement(self) -> None:
        """Return that slices stay where they are."""
