"""The move of a slice from one shard, the source, to another, the target, while writers write.

1. *stage*: the target notes the label of the move: the epoch under which the source owns the slice.
2. *copy*: one transaction on the target gets all rows, and then what has come since, in rounds. In the last
   one both sides are compared. The counts are added to those of the target.
3. *fence*: the source gives the slice away. Its older writers are waited for; newer ones find it gone.
4. *rest*: the transaction gets what came since the last round, and adds it.
5. *take*: if the label still stands, the transaction commits, with the ownership, the counts, and what the
   source must subtract.
6. *leave*: the source subtracts the counts and deletes the rows, once its projections and its tree have
   passed them.

Between 3 and 5, signals of the slice wait. To undo a move before 5, its label is closed on the target first,
and then the source owns the slice again. Whatever a killed mover has left, a service ends (see
`interrupted_moves`), or the next mover does so first: a slice that was taken leaves, and any other move is
undone and made anew (docs/decisions/0068).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.rebuilds import RebuildRunningError
from offerlog_application.ports.shards import (
    MovedSlice,
    MoveProgress,
    ShardBusyError,
    ShardError,
    ShardUnreachedError,
)
from offerlog_application.ports.write_fence import FenceTimeoutError
from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.postgres.connections import StoreConnection
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.fence import PostgresFence
from offerlog_infrastructure.postgres.shards import move_steps
from offerlog_infrastructure.postgres.shards.handover import Handover, open_transaction, undone
from offerlog_infrastructure.postgres.shards.move_ends import MoveEnds
from offerlog_infrastructure.postgres.shards.move_steps import Move, SliceRow, connected
from offerlog_infrastructure.postgres.shards.move_times import MoveTimes
from offerlog_infrastructure.postgres.shards.mover_lock import hold_mover_lock
from offerlog_infrastructure.postgres.shards.slice_copy import SliceCopy
from offerlog_infrastructure.postgres.shards.slice_files import SliceFiles, remove_copies
from offerlog_infrastructure.postgres.shards.slice_keeping import enter_archive_lock, enter_rebuild_lock
from offerlog_infrastructure.postgres.shards.slice_range import SliceRange
from offerlog_infrastructure.postgres.shards.taken_counts import TakenSlice

_HUNG_SECONDS: Final = 30.0
"""Seconds to wait before the fence for a writer that stands still. Its session is ended after some ten."""

_LOOK_SECONDS: Final = 2.0

_LOCK_SECONDS: Final = 10.0
"""Seconds for which a mover waits for the end of another one, or of what a service ends."""

_SMALL: Final = 500
"""So few events are left to the rest, which signals of the slice wait for."""

_MOST_ROUNDS: Final = 20

_NOTE_SECONDS: Final = 0.5

_LIMIT_IDLENESS: LiteralString = "SET LOCAL idle_in_transaction_session_timeout TO '5s'"
"""From here on the projector of the target waits for the mover, which may stand still."""

_LOCK_POSITIONS: LiteralString = "SELECT FROM offerlog_tracking ORDER BY application_name FOR UPDATE"
_SELECT_POLICIES: LiteralString = """
    SELECT organization, action_map_id::text, suppress_for::text FROM action_map_policies
    WHERE suppress_for <> '{}' ORDER BY 1, 2
"""
_COUNT_EVENTS: LiteralString = "SELECT count(*) FROM offerlog_events WHERE originator_id BETWEEN %s AND %s"
_SELECT_ORGANIZATIONS: LiteralString = "SELECT organization FROM organizations"


class SliceMover:
    """Moves one slice between the shards of an installation.

    Args:
        home: The home.
        stores: All shards that can be reached, by number; the home among them.
        number: The slice.
        on_progress: Called with the progress, several times a second.
    """

    def __init__(
        self,
        home: OfferlogApplication,
        stores: Mapping[int, OfferlogApplication],
        number: int,
        on_progress: Callable[[MoveProgress], None] = lambda _: None,
    ) -> None:
        self._home = home
        self._stores = stores
        self._ends = MoveEnds(home, stores)
        self._range = SliceRange(number)
        self._number = number
        self._on_progress = on_progress
        self._noted_at = 0.0
        self._left = ""

    def move(self, target: int) -> MovedSlice:
        """Move the slice to a shard; end first what an earlier mover has left.

        Raises:
            ShardError: That cannot be. The slice is where it was, or the error says otherwise.
            ShardBusyError: Another one is at work on the slice, or on a shard. The slice is where it was.
            FenceTimeoutError: Some writers of the source have not ended. The slice is where it was.
            StoreUnavailableError: A shard cannot be reached. The same call goes on, or undoes what was begun.
        """
        while True:
            self._settle(_LOCK_SECONDS)
            source, row = self._ends.find_owner(self._number)
            if source == target:
                self._ends.update_directory(self._number, target, row.epoch)
            self._check_left(row)
            if source == target:
                self._ends.forget(self._number)
                return MovedSlice(target, 0, 0.0)
            move = Move(self._number, source, target, row.epoch)
            self._check(move)
            try:
                with self._locked(move) as (reader, writer):
                    if move_steps.is_owned(reader, self._number, move.label):
                        return self._carry_out(move, reader, writer)
            except OfferlogError as error:
                if self._left:
                    raise ShardError(f"{error}; {self._left}") from error
                raise
            # another command has moved the slice while this one waited for the locks: look again

    def undo(self) -> int:
        """Undo a move that is under way, or end one that cannot be undone; returns the owner.

        Raises:
            ShardError: No shard that can be reached owns the slice, or the one that had it before cannot be
                reached.
            StoreUnavailableError: A shard cannot be reached.
        """
        self._settle()
        for number, store in self._stores.items():
            row = move_steps.read_slice(store, self._number)
            if row.label:  # staged, and not fenced
                owner, of_owner = self._ends.find_owner(self._number)
                if of_owner.epoch == row.label:
                    self._ends.undo(Move(self._number, owner, number, row.label))
        owner, row = self._ends.find_owner(self._number)
        self._ends.update_directory(self._number, owner, row.epoch)
        self._check_left(row)
        self._ends.forget(self._number)
        return owner

    def _settle(self, seconds: float | None = None) -> None:
        """End the moves in which the slice has left a shard: delete what is there, or undo the move.

        Args:
            seconds: How long to wait for a mover that is at work; None to end its move at once.

        Raises:
            ShardBusyError: Another mover is at work.
        """
        for move in self._ends.list_unended(self._number):
            with ExitStack() as held:
                if seconds is not None:
                    connection = held.enter_context(connected(self._ends.find_store(move.target)))
                    held.enter_context(self._held(connection, seconds))
                if not self._ends.undo(move):
                    self._end(move)

    def _check_left(self, row: SliceRow) -> None:
        """Check that the shard from which the owner got the slice could be asked for what is left there.

        Raises:
            ShardUnreachedError: It cannot be reached. A killed mover may have left rows of the slice there.
        """
        if row.came_from is not None and row.came_from not in self._stores:
            raise ShardUnreachedError(
                f"shard {row.came_from}, which had slice {self._number:x} before, cannot be reached, and may"
                " have rows of it: run the same command again when it can"
            )

    def _check(self, move: Move) -> None:
        """Check what can be checked before a row is copied.

        Raises:
            ShardError: The slice cannot be moved there.
        """
        source, target = self._ends.find_store(move.source), self._ends.find_store(move.target)
        of_home = _select(self._home, _SELECT_POLICIES)
        for number, store in ((move.source, source), (move.target, target)):
            if _select(store, _SELECT_POLICIES) != of_home:
                raise ShardError(
                    f"shard {number} has other policies of action maps than the home: set them again, and"
                    " move the slice then"
                )
        for (organization,) in _select(self._home, _SELECT_ORGANIZATIONS):
            target.keys.key(organization)  # copies the secret from the home

    @contextmanager
    def _locked(self, move: Move) -> Iterator[tuple[StoreConnection, StoreConnection]]:
        """Lend a connection to the source and one to the target, which keep rebuilds and other moves off.

        Locks are taken in the order of the shards' numbers: of two moves between the same shards, one waits
        for the other.

        Raises:
            ShardBusyError: Another one is at work there.
        """
        with ExitStack() as held:
            lent: dict[int, StoreConnection] = {}
            for number in sorted((move.source, move.target)):
                store = self._ends.find_store(number)
                held.enter_context(store_reached(store.log.datastore))
                connection = held.enter_context(store.connect_to_move(idle_seconds=0))
                try:
                    enter_rebuild_lock(held, connection, _LOCK_SECONDS)
                    enter_archive_lock(held, connection, _LOCK_SECONDS, number)
                except RebuildRunningError as error:
                    raise ShardBusyError(
                        "another move, a rebuild of projections, the deletion of an organization, or a"
                        f" rotation of keys is at work on shard {number}: wait for its end"
                    ) from error
                lent[number] = connection
            held.enter_context(self._held(lent[move.target], _LOCK_SECONDS))
            yield lent[move.source], lent[move.target]

    @contextmanager
    def _held(self, connection: StoreConnection, seconds: float) -> Iterator[None]:
        """Hold the lock of the slice on the target.

        Raises:
            ShardBusyError: Another one is at work on the slice.
        """
        with hold_mover_lock(connection, self._number, seconds) as is_held:
            if not is_held:
                raise ShardBusyError(
                    f"another command moves slice {self._number:x}: wait for its end, or undo its move by"
                    f" `offerlog shards move {self._number:x} --undo`"
                )
            yield

    def _carry_out(self, move: Move, reader: StoreConnection, writer: StoreConnection) -> MovedSlice:
        """Carry a move out, or undo it.

        Args:
            move: The move.
            reader: A connection to the source.
            writer: A connection to the target.
        """
        target = self._ends.find_store(move.target)
        if not move_steps.stage(target, self._number, move.source, move.label):
            self._ends.undo(move)
            raise undone()
        with suppress(OfferlogError):  # of a killed mover; whoever archives or erases there next removes them
            remove_copies(target, self._number)
        times = MoveTimes()
        files = SliceFiles(move, self._home, reader, target)
        try:
            files.copy(lambda copied: self._show(move, "copying", copied, copied))
            times.note("copy the files")
            with open_transaction(writer):
                handover = self._prepare(move, (reader, writer), files, times)
                times.note_owner(has_owner=False)
                handover.take(handover.fence())
        except BaseException as error:
            self._try_to_undo(move)
            if not isinstance(error, Exception) or not move_steps.is_taken(target, self._number, move.label):
                raise
            times.note("answer of the target")  # that to the commit was lost
        times.note_owner(has_owner=True)
        self._end(move)
        times.note("leave")
        return MovedSlice(move.source, handover.events, times.seconds_without_owner, times.steps)

    def _prepare(
        self,
        move: Move,
        connections: tuple[StoreConnection, StoreConnection],
        files: SliceFiles,
        times: MoveTimes,
    ) -> Handover:
        """Do all that can be done while the slice has its owner."""
        _, writer = connections
        taken = TakenSlice(move.slice, move.label + 1)
        source = self._ends.find_store(move.source)
        copy = self._copy(move, connections, files, times)
        copy.note_numbers()
        self._await_hung(source, writer)
        times.note("wait for writers that stand still")
        copy.catch_up()
        times.note("last round")
        writer.execute(_LIMIT_IDLENESS)
        writer.execute(_LOCK_POSITIONS)  # no projector writes the counts meanwhile
        times.note("wait for the projector")
        copy.add_most(taken)
        times.note("counts")
        handover = Handover(copy, connections, source.log.datastore.schema, move, times)
        handover.rehearse()
        times.note("rehearsal")
        self._note(move, "fenced", copy.events)
        self._stage_again(move)
        times.note("flush")
        handover.approach()
        times.note("approach")
        return handover

    def _stage_again(self, move: Move) -> None:
        """Stage the move once more: the commit flushes what the copy has written, before the fence."""
        if not move_steps.stage(self._ends.find_store(move.target), move.slice, move.source, move.label):
            raise undone()

    def _await_hung(self, source: OfferlogApplication, writer: StoreConnection) -> None:
        """Wait for the writers that are at work, while the slice still has an owner.

        Raises:
            FenceTimeoutError: One of them stands still, and nothing ends its session.
        """
        began = time.monotonic()
        while True:
            try:
                PostgresFence(source).finish(_LOOK_SECONDS)
            except FenceTimeoutError as error:
                waited = time.monotonic() - began
                if waited > _HUNG_SECONDS:
                    raise FenceTimeoutError(error.epoch, waited, error.holders) from error
            else:
                return
            writer.execute("SELECT")  # a session that is silent inside a transaction is ended

    def _copy(
        self,
        move: Move,
        connections: tuple[StoreConnection, StoreConnection],
        files: SliceFiles,
        times: MoveTimes,
    ) -> SliceCopy:
        """Copy all rows, and what comes meanwhile, until little is left."""
        ((events,),) = _select_of(connections[0], _COUNT_EVENTS, self._range.streams)
        events += files.events
        schema = self._ends.find_store(move.source).log.datastore.schema

        def show(copied: int) -> None:
            self._show(move, "copying", copied, max(events, copied))

        copy = SliceCopy(*connections, schema, (self._range, move.source), files)
        show(0)
        copy.copy_all(show)
        for _ in range(_MOST_ROUNDS):
            if copy.catch_up() <= _SMALL:
                break
        times.note("copy")
        self._note(move, "comparing", copy.events)
        copy.catch_up(compares=True)
        times.note("comparison")
        for _ in range(_MOST_ROUNDS):
            if copy.catch_up() <= _SMALL:
                break
        times.note("rounds")
        return copy

    def _end(self, move: Move) -> None:
        self._on_progress(MoveProgress(self._number, move.source, move.target, "leaving", 0, 0))
        self._ends.end(move)

    def _try_to_undo(self, move: Move) -> None:
        """Undo a move after an error; note what is left if that cannot be done."""
        try:
            self._ends.undo(move)
        except OfferlogError as trouble:
            self._left = (
                f"and the move could not be undone ({trouble}). Slice {self._number:x} may have no owner"
                " until a service has undone it: see `offerlog shards status`, or run the same command again"
            )

    def _show(self, move: Move, step: str, copied: int, events: int) -> None:
        """Show the progress, at most some times a second."""
        if time.monotonic() - self._noted_at >= _NOTE_SECONDS:
            self._note(move, step, copied, events)

    def _note(self, move: Move, step: str, copied: int, events: int | None = None) -> None:
        """Show the progress, and note it on the home, for those who look."""
        self._noted_at = time.monotonic()
        progress = MoveProgress(
            self._number, move.source, move.target, step, copied, copied if events is None else events
        )
        self._on_progress(progress)
        self._ends.note(progress)


def _select(store: OfferlogApplication, statement: LiteralString) -> list[tuple[Any, ...]]:
    with connected(store) as connection:
        return _select_of(connection, statement, ())


def _select_of(connection: Connection[Any], statement: LiteralString, values: Any) -> list[tuple[Any, ...]]:
    return connection.cursor(row_factory=tuple_row).execute(statement, values or None).fetchall()
