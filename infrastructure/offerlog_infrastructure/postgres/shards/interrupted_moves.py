"""The end of moves whose mover is gone, by a service; see docs/decisions/0070.

A service looks at all shards every second for slices that leave or arrive. If nobody holds the lock of the
slice on the target, the mover is gone. Then one service gets that lock, and ends the move by the rules that
commands have, too: a slice that was taken leaves, and any other move is undone. These rules hold for a mover
that only seemed to be gone: its label is closed, so it cannot take the slice any more.

A mover that stands still, and so holds up the slice, holds its lock. While the slice has no owner, its silent
session is ended, as those of projectors are. Behind the take, its part is done by a service.
"""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import Connection, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError
from offerlog_application.ports.shards import ENDED_STEPS, HOME, MoveProgress
from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.hung_sessions import SilentSessions, end_hung_sessions
from offerlog_infrastructure.postgres.projections.projector import LOCK_SPACE
from offerlog_infrastructure.postgres.shards import move_steps
from offerlog_infrastructure.postgres.shards.move_ends import MoveEnds
from offerlog_infrastructure.postgres.shards.move_steps import Move, connected
from offerlog_infrastructure.postgres.shards.mover_lock import hold_mover_lock, is_mover_there
from offerlog_infrastructure.postgres.shards.taken_counts import TakenSlice

_SHORT_SECONDS: Final = 2.0
"""Seconds for which a move may be fenced, before a service looks if its mover stands still."""

_STANDS_STILL_SECONDS: Final = 10.0
"""Seconds behind the take after which a service helps a mover that has not deleted the rows of the source,
although nothing stands against it."""

_PASS_SECONDS: Final = 3.0
"""Seconds for which a service waits in one attempt until the source has passed the events of a slice."""

_PAUSES: Final = (1.0, 15.0)
"""Seconds until another attempt to end a move: at first, and at most."""

_SELECT_MOVING: LiteralString = """
    SELECT slice, true, {number}, target, epoch - 1 FROM leaving_slices
    UNION ALL SELECT slice, false, source, {number}, label FROM arriving_slices WHERE label > 0
    UNION ALL SELECT slice, true, source, {number}, epoch - 1 FROM arrived_slices
"""
"""A slice that was taken stands on the target, too: its source may have files when the rows are deleted."""

_SELECT_NOTED: LiteralString = "SELECT slice, source, target, step, copied, events FROM slice_moves"
_FORGET_NOTED: LiteralString = """
    DELETE FROM slice_moves
    WHERE slice = %(slice)s AND source = %(source)s AND target = %(target)s AND step = %(step)s
"""
_END_IF_IDLE: LiteralString = "SET idle_session_timeout = '10s'"

_log = logging.getLogger(__name__)


class _Found(NamedTuple):
    """A move that has not ended.

    Attributes:
        move: The move.
        is_fenced: True if the source has given the slice away; False if the target only expects it.
    """

    move: Move
    is_fenced: bool


@dataclass
class _Watched:
    """The state of a move that has not ended, as this process knows it.

    Attributes:
        since: When it was found, by the monotonic clock.
        due: When it may be looked at again.
        pause: Seconds until the next attempt, after one that has failed.
        is_told: True once the log has the reason why it cannot be ended yet.
        silent: The sessions of the target whose client is silent.
    """

    since: float
    due: float = 0.0
    pause: float = 0.0
    is_told: bool = False
    silent: SilentSessions = frozenset()


class InterruptedMoves:
    """The application's `MovesUpkeep`.

    Args:
        home: The home.
        begin_to_open: Begins to open another shard, by number, unless that was done.
    """

    def __init__(
        self,
        home: OfferlogApplication,
        begin_to_open: Callable[[int], object],
    ) -> None:
        self._home = home
        self._stores = {HOME: home}
        self._begin_to_open = begin_to_open
        self._ends = MoveEnds(home, self._stores)
        self._watched: dict[_Found, _Watched] = {}
        self._stale: Collection[MoveProgress] = ()

    def add_store(self, number: int, store: OfferlogApplication) -> None:
        """Look at another shard, too, which this process has opened. Any thread may call."""
        self._stores[number] = store

    def end_interrupted(self, numbers: Collection[int]) -> None:
        """End the moves whose mover is gone; look at these shards, and at those that moves name."""
        found: set[_Found] = set()
        seen: set[int] = set()
        for number in {*numbers, *self._stores}:
            store = self._find_store(number)
            if store is not None and (moving := _read_moving(store, number)) is not None:
                seen.add(number)
                found |= moving
        self._watched = {one: self._watched.get(one) or _Watched(time.monotonic()) for one in found}
        for one in sorted(found, key=lambda each: not each.is_fenced):
            self._look_after(one)
        self._forget_stale({one.move.slice for one in found}, seen)

    def _find_store(self, number: int) -> OfferlogApplication | None:
        """Return a shard that is open here, and answers as far as is known."""
        store = self._stores.get(number)
        if store is None:
            try:
                self._begin_to_open(number)
            except StoreUnavailableError:
                return None
            store = self._stores.get(number)
        return None if store is None or store.find_silence() is not None else store

    def _look_after(self, found: _Found) -> None:
        watched = self._watched[found]
        if time.monotonic() < watched.due:
            return
        move, target = found.move, self._find_store(found.move.target)
        if target is None:  # nobody knows if the mover lives
            return
        is_gone = False
        try:
            with store_reached(target.reading), target.reading.get_connection() as connection:
                is_gone = not is_mover_there(connection, move.slice)
            if is_gone:
                self._end(move, target)
            elif found.is_fenced and time.monotonic() - watched.since > _SHORT_SECONDS:
                self._look_after_standing(move, target, watched)
        except ClosedError:
            raise
        except (OfferlogError, psycopg.Error) as error:
            first, longest = _PAUSES
            watched.pause = min(max(2 * watched.pause, first), longest)
            watched.due = time.monotonic() + watched.pause
            if is_gone and not watched.is_told:
                watched.is_told = True
                _log.warning("%s was interrupted, and cannot be ended yet: %s", _name(move), error)

    def _look_after_standing(self, move: Move, target: OfferlogApplication, watched: _Watched) -> None:
        """End the session of a mover that stands still and has not taken the slice; else do its work."""
        if not move_steps.is_taken(target, move.slice, move.label):
            table = f'"{target.log.datastore.schema}"."{target.log.events_table_name}"'
            with connected(target) as connection, connection.cursor() as cursor:
                watched.silent = end_hung_sessions(cursor, table, LOCK_SPACE, watched.silent)
        elif time.monotonic() - watched.since > _STANDS_STILL_SECONDS:
            self._ends.end(move, seconds=0.0)
            _log.warning("%s stood still, and was completed: %s", _name(move), _of_owner(move.target))

    def _end(self, move: Move, target: OfferlogApplication) -> None:
        """End a move whose mover is gone, unless another service is about to."""
        source = self._ends.find_store(move.source)
        with connected(target) as connection:
            connection.execute(_END_IF_IDLE)  # if this process stops, another one goes on
            with hold_mover_lock(connection, move.slice) as is_held:
                if not is_held:
                    return
                there, here = (move_steps.read_slice(one, move.slice) for one in (source, target))
                is_fenced = (there.target, there.fence_epoch) == (move.target, move.label + 1)
                is_fenced |= (here.left_source, here.left_epoch) == (move.source, move.label + 1)
                if not is_fenced and here.label != move.label:
                    return  # it has ended meanwhile
                if self._ends.undo(move):
                    step, owner = "undone", move.source
                elif is_fenced:
                    self._ends.end(move, _PASS_SECONDS, lambda _: _stay(connection))
                    step, owner = "completed", move.target
                else:
                    return
        self._ends.note(MoveProgress(move.slice, move.source, move.target, step, 0, 0))
        _log.warning("%s was interrupted, and was %s: %s", _name(move), step, _of_owner(owner))

    def _forget_stale(self, moving: Collection[int], seen: Collection[int]) -> None:
        """Delete notes of moves that have ended: their mover was killed just before it could.

        Args:
            moving: The slices that leave or arrive.
            seen: The shards that were asked for them.
        """
        rows = _select(self._home, _SELECT_NOTED)
        noted = [MoveProgress(*row) for row in rows or ()]
        for one in noted:
            for number in (one.source, one.target):
                self._find_store(number)
        stale = [
            one
            for one in noted
            if one.step not in ENDED_STEPS and one.slice not in moving and {one.source, one.target} <= {*seen}
        ]
        for one in stale:
            if one in self._stale and not self._is_mover_there(one):
                epoch = move_steps.read_slice(self._stores[one.target], one.slice).epoch
                self._ends.forget_counts(one.target, TakenSlice(one.slice, epoch))
                with connected(self._home) as connection:
                    connection.execute(_FORGET_NOTED, one._asdict())
        self._stale = stale

    def _is_mover_there(self, one: MoveProgress) -> bool:
        target = self._stores[one.target]
        with store_reached(target.reading), target.reading.get_connection() as connection:
            return is_mover_there(connection, one.slice)


def _read_moving(store: OfferlogApplication, number: int) -> set[_Found] | None:
    """Read the moves of which a shard knows; None if it does not answer."""
    rows = _select(store, sql.SQL(_SELECT_MOVING).format(number=sql.Literal(number)))
    if rows is None:
        return None
    return {
        _Found(Move(slice_, source, target, label), is_fenced)
        for slice_, is_fenced, source, target, label in rows
    }


def _select(
    store: OfferlogApplication, statement: LiteralString | sql.Composed
) -> list[tuple[Any, ...]] | None:
    """Return the rows of a statement; None if the shard does not answer, which others log."""
    try:
        with (
            store_reached(store.reading),
            store.reading.get_connection() as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            return cursor.execute(statement, prepare=True).fetchall()
    except ClosedError:
        raise
    except StoreUnavailableError:
        return None


def _stay(connection: Connection[Any]) -> None:
    """Keep the lock of a slice while many events are folded: its session is ended if it is idle."""
    connection.execute("SELECT")


def _name(move: Move) -> str:
    return f"the move of slice {move.slice:x} from shard {move.source} to {move.target}"


def _of_owner(shard: int) -> str:
    return f"shard {shard} has the slice"
