"""The two ends of a move, for its mover, for the next command, and for a service that finds it interrupted.

A slice that the target has taken gets its place in the directory, and the source deletes its rows. A move
before that is undone: its label is closed on the target first, and the source owns the slice again. Any
number of processes may do so at once, and each may stop anywhere.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Final, LiteralString

from psycopg.rows import tuple_row

from offerlog_application.ports.shards import MoveProgress, ShardUnreachedError
from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.shards import move_steps
from offerlog_infrastructure.postgres.shards.move_steps import Move, SliceRow, connected
from offerlog_infrastructure.postgres.shards.slice_files import remove_copies, remove_files
from offerlog_infrastructure.postgres.shards.slice_leave import leave
from offerlog_infrastructure.postgres.shards.slice_range import SliceRange
from offerlog_infrastructure.postgres.shards.taken_counts import TakenSlice, delete_counts, read_taken

PASS_SECONDS: Final = 60.0
"""Seconds for which a command waits until projections and tree of the source pass the slice's last event."""

_UPDATE_DIRECTORY: LiteralString = """
    UPDATE directory SET shard = %s, epoch = %s WHERE slice = %s AND epoch < %s
"""
_NOTE: LiteralString = """
    INSERT INTO slice_moves AS m (slice, source, target, step, copied, events)
    VALUES (%(slice)s, %(source)s, %(target)s, %(step)s, %(copied)s, %(events)s)
    ON CONFLICT (slice) DO UPDATE SET source = excluded.source, target = excluded.target,
        step = excluded.step, copied = excluded.copied, events = excluded.events
"""
_FORGET: LiteralString = "DELETE FROM slice_moves WHERE slice = %s"


class MoveEnds:
    """Ends moves between the shards of an installation, in the one way or the other.

    Args:
        home: The home.
        stores: All shards that can be reached, by number; the home among them.
    """

    def __init__(self, home: OfferlogApplication, stores: Mapping[int, OfferlogApplication]) -> None:
        self._home = home
        self._stores = stores

    def find_store(self, number: int) -> OfferlogApplication:
        """Return a shard.

        Raises:
            ShardUnreachedError: It cannot be reached.
        """
        store = self._stores.get(number)
        if store is None:
            raise ShardUnreachedError(f"shard {number} cannot be reached: see `offerlog shards status`")
        return store

    def find_owner(self, number: int) -> tuple[int, SliceRow]:
        """Return the shard that owns the slice.

        Raises:
            ShardUnreachedError: No shard that can be reached owns it.
        """
        for shard, store in self._stores.items():
            row = move_steps.read_slice(store, number)
            if row.is_owned:
                return shard, row
        raise ShardUnreachedError(
            f"no shard that can be reached owns slice {number:x}: see `offerlog shards status`"
        )

    def end(
        self,
        move: Move,
        seconds: float = PASS_SECONDS,
        on_events: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Tell the directory who has a slice that was taken, and delete the rows on the source.

        Args:
            move: The move.
            seconds: How long to wait for projections and tree of the source.
            on_events: Called with the number of events that are folded, if the counts are not stored.

        Raises:
            ShardError: The rows could not be deleted yet; see `leave`. Or the files could not be removed.
            StoreUnavailableError: The home, the source or the target cannot be reached.
        """
        source, target = self.find_store(move.source), self.find_store(move.target)
        self.update_directory(move.slice, move.target, move.label + 2)
        self.note(MoveProgress(move.slice, move.source, move.target, "leaving", 0, 0))
        taken = TakenSlice(move.slice, move.label + 1)
        counts = read_taken(target, taken)
        leave(
            source, move.source, (SliceRange(move.slice), taken.epoch), counts, seconds, on_events=on_events
        )
        for store in (source, target):
            remove_files(store, move.slice)
        move_steps.forget_arrival(target, move)
        self.forget_counts(move.target, taken)
        self.forget(move.slice)

    def list_unended(self, number: int) -> Iterator[Move]:
        """Yield the moves in which the slice has left a shard that may still have rows or files of it.

        A move whose source cannot be reached is left out, if only the target knows of it.
        """
        for shard, store in self._stores.items():
            row = move_steps.read_slice(store, number)
            if row.target is not None and row.fence_epoch is not None:
                yield Move(number, shard, row.target, row.fence_epoch - 1)
            source, epoch = row.left_source, row.left_epoch
            if source is not None and epoch is not None and source in self._stores:
                yield Move(number, source, shard, epoch - 1)

    def forget_counts(self, target: int, taken: TakenSlice) -> None:
        """Delete the counts that the take has stored; if that fails, the next take deletes them."""
        with suppress(OfferlogError):
            store = self.find_store(target)
            with connected(store) as connection:
                delete_counts(connection.cursor(row_factory=tuple_row), store.log.datastore.schema, taken)

    def undo(self, move: Move) -> bool:
        """Undo a move: close its label, and reopen the source. Return False if the slice was taken.

        Raises:
            ShardError: The source or the target cannot be reached.
            StoreUnavailableError: As above.
        """
        source, target = self.find_store(move.source), self.find_store(move.target)
        move_steps.close(target, move.slice, move.source, move.label)
        if move_steps.is_taken(target, move.slice, move.label):
            return False
        move_steps.reopen(source, move.slice, move.label)
        with suppress(OfferlogError):  # whoever archives or erases there next removes them
            remove_copies(target, move.slice)
        self.forget(move.slice)
        return True

    def update_directory(self, number: int, shard: int, epoch: int) -> None:
        """Tell the directory who has a slice, unless it knows something newer.

        Raises:
            StoreUnavailableError: The home cannot be reached.
        """
        with connected(self._home) as connection:
            connection.execute(_UPDATE_DIRECTORY, (shard, epoch, number, epoch))

    def note(self, progress: MoveProgress) -> None:
        """Note the progress on the home, for those who look. Trouble there does not stop the move."""
        with suppress(OfferlogError), connected(self._home) as connection:
            connection.execute(_NOTE, progress._asdict())

    def forget(self, number: int) -> None:
        """Delete the note about the move of a slice. Trouble there does not matter."""
        with suppress(OfferlogError), connected(self._home) as connection:
            connection.execute(_FORGET, (number,))
