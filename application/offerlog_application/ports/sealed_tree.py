"""The ports to the tree over the log, and to its checkpoints inside and outside of the store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from offerlog_application.ports.erasure import Tombstone
from offerlog_domain.errors import OfferlogError
from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.hashing import HASH_BYTES
from offerlog_domain.transparency.leaves import RawRow, StoredRow
from offerlog_domain.transparency.tiles import Tile, unpack_positions


class CheckpointFolderError(OfferlogError):
    """The folder of checkpoints cannot be read or written; the message says which file, and what to do."""


class ForkError(OfferlogError):
    """The log is not a continuation of what was signed before, so nothing is signed.

    Events were changed or lost since, for instance because an older backup was restored.
    """


class AuditKeyError(OfferlogError):
    """The key that signs checkpoints is missing or cannot be used; the message says what to do."""


class NotSealedError(OfferlogError):
    """No event has this position, or the event is not in the tree of a checkpoint yet.

    Attributes:
        position: The position that was asked for.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"position {position}: {reason}")
        self.position = position


class TreeProgress(NamedTuple):
    """The part of the log that is in the tree.

    Attributes:
        size: Number of events in the tree.
        position: Position of the last of them; 0 if there is none.
        lag_events: Number of events that are not in the tree yet. Above 10,000, positions are counted.
        lag_seconds: Seconds since the first of them was recorded; 0 without any, None if it cannot be read.
        is_lost: True if somebody has deleted the progress. Then size and position are those of the last tile,
            and the lag is not known.
    """

    size: int
    position: int
    lag_events: int
    lag_seconds: float | None
    is_lost: bool = False


class LeafTile(NamedTuple):
    """A tile of level 0 as it is stored.

    Attributes:
        n: Its number.
        first: The position of its first event.
        last: The position of its last event.
        gaps: The gaps between the positions (`pack_gaps`).
        hashes: The leaf hashes.
    """

    n: int
    first: int
    last: int
    gaps: bytes | None
    hashes: bytes

    def find_positions(self) -> list[int] | None:
        """Return the positions of its events; None if what it says of them contradicts itself."""
        try:
            positions = unpack_positions(self.first, len(self.hashes) // HASH_BYTES, self.gaps)
        except NoteError:
            return None
        return positions if positions[-1] == self.last else None


class MovedEvents(NamedTuple):
    """Events that this store has recorded, and that lie on another shard: their slice was moved there.

    Their leaves stay in the tree of this store.

    Attributes:
        slice: The slice.
        shard: The number of the shard that got them. The slice may have moved on from there.
        events: Their number.
        first: The lowest of their positions.
        last: The highest one.
        digest: The sum of the squares of their positions.
    """

    slice: int
    shard: int
    events: int
    first: int
    last: int
    digest: int


class ForeignEvents(NamedTuple):
    """Events that another shard has recorded, and whose slice was moved here: its tree has their leaves.

    Attributes:
        slice: The slice.
        shard: The number of the shard that recorded them.
        events: Their number.
    """

    slice: int
    shard: int
    events: int


class KeptCheckpoint(NamedTuple):
    """A signed checkpoint as it is kept, in the store or outside. Nothing of it is checked.

    Attributes:
        place: The table, or the file, for people.
        text: The signed note.
    """

    place: str
    text: str


class KeptTile(NamedTuple):
    """A tile as it is kept outside. Nothing of it is checked.

    Attributes:
        place: The file, for people.
        tile: The tile that the file is named after.
        hashes: What the file holds.
    """

    place: str
    tile: Tile
    hashes: bytes


class SealedTree(Protocol):
    """The tree of one store; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def progress(self) -> TreeProgress:
        """Return how far the log is in the tree; costs the same however far it is behind."""

    def last_position(self) -> int:
        """Return the last position in the log; 0 if the log is empty."""

    def tile(self, level: int, n: int) -> bytes:
        """Return the hashes of a tile; empty if the tree does not have it."""

    def tiles(self, wanted: Sequence[Tile]) -> Mapping[tuple[int, int], bytes]:
        """Return the hashes of tiles by level and number. A tile that is missing has no entry."""

    def leaf_tiles(self, start: int, end: int) -> Sequence[LeafTile]:
        """Return the tiles of level 0 from number `start` to before `end`, in order."""

    def leaf_tile_of(self, position: int) -> LeafTile | None:
        """Return the last tile of level 0 that does not begin behind a position."""

    def rows(self, after: int, until: int) -> Sequence[StoredRow]:
        """Return the stored events behind a position and up to another, in order.

        Those whose positions are of the shard of the latter.
        """

    def raw_rows(self, after: int, until: int) -> Sequence[RawRow]:
        """Return the same events in bytes: an audit reads the whole log, and is faster so."""

    def erasures(self, streams: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return the position of the `VisitorErased` in each of these streams; none where there is none."""

    def impossible_rows(self, limit: int) -> Sequence[StoredRow]:
        """Return events at positions that they cannot have.

        Positions below 1, or that the store has not drawn yet; and those of another shard outside of the
        slices that this store has.
        """

    def moved_events(self) -> Sequence[MovedEvents]:
        """Return what was recorded here and lies elsewhere, slice by slice; none where there is one store."""

    def foreign_events(self) -> Sequence[ForeignEvents]:
        """Return what lies here and was recorded elsewhere; none where there is one store."""

    def checkpoints(self) -> Iterator[KeptCheckpoint]:
        """Return the checkpoints in the store, the smallest first."""

    def newest_checkpoint(self, origin: str) -> KeptCheckpoint | None:
        """Return the largest checkpoint of an origin in the store."""

    def add_checkpoint(self, origin: str, size: int, signed_at: datetime, text: str) -> None:
        """Keep a checkpoint; one of the same origin and size stays, but for further signatures."""

    def tombstones(self, behind: int) -> Sequence[tuple[int, Tombstone]]:
        """Return the visitors who were erased, with the numbers of their erasures, behind a number."""

    def is_retired(self, origin: str) -> bool:
        """Return True if nothing may be signed under this name any more, as a backup was restored."""

    def broken_streams(self, limit: int) -> Sequence[str]:
        """Return streams of which an event is missing, by their versions and by the projections.

        Reads the whole log.
        """


class CheckpointArchive(Protocol):
    """A folder outside the store: checkpoints, and tiles in the layout of C2SP tlog-tiles.

    Each method raises `CheckpointFolderError` if the folder cannot be used.
    """

    def checkpoints(self) -> Iterator[KeptCheckpoint]:
        """Return all checkpoints in the folder, each text once, whatever the files are called."""

    def newest(self) -> KeptCheckpoint | None:
        """Return the checkpoint that was written last."""

    def add_erasures(self, erased: Sequence[Tombstone]) -> None:
        """Add the erasures that the list in the folder does not have yet; make it if there is none."""

    def tile(self, tile: Tile) -> bytes | None:
        """Return the hashes of a tile; None if the folder does not have it."""

    def tiles(self) -> Iterator[KeptTile]:
        """Return all tiles that are there, also partial ones."""

    def write(self, size: int, text: str, tiles: Iterable[tuple[Tile, bytes]]) -> None:
        """Write tiles, then a checkpoint. What is there is never changed, but for further signatures.

        Raises:
            ForkError: A full tile or a checkpoint of this size is there and differs.
        """
