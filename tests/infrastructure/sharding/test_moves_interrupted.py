"""A mover that is killed at any step: the slice is on one shard, and the next mover goes on or undoes it."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from offerlog import Offerlog, OfferlogError, ReportQuery
from offerlog.testing import SettableClock
from offerlog_application.ports.shards import (
    MovedSlice,
    ShardBusyError,
    ShardError,
    ShardUnavailableError,
    SliceInMotionError,
)
from offerlog_application.sharding.divided_writer import DividedWriter
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_infrastructure.cli.exit_codes import ExitCode, code_of
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.shards import move_steps, moving, slice_keeping
from offerlog_infrastructure.postgres.shards.handover import Handover
from offerlog_infrastructure.postgres.shards.move_steps import Move
from offerlog_infrastructure.postgres.shards.moving import SliceMover
from offerlog_infrastructure.postgres.shards.slice_rest import Rest
from support.installations import (
    Stores,
    compare_answers,
    make_stores,
    move_slice,
    owners_of,
    undo_move,
    visitors_of_slice,
)
from support.journeys import DAY, an_id, journeys, signal
from support.killed_mover import BEFORE, STEPS, kill_mover
from support.recount import rows, until
from support.shard_archives import archive_servers, check_places

_VISITORS: Final = 24
_MANY: Final = 1_000
"""Among so many visitors are some of each slice."""

_NUMBER: Final = 3
"""The slice that moves."""

_SOME_STEPS: Final = ("fence", "commit")

_UNOWNED: Final = "fence"
"""Killed behind this, the slice has no owner."""


@pytest.fixture
def stores(make_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 7, and a shard with the others."""
    with make_stores(make_dsn, "8-f") as stores:
        yield stores


@pytest.fixture
def services(stores: Stores, dsn: str) -> Iterator[tuple[ShardedOfferlog, Offerlog]]:
    """The service over all of them, and one over a single store, at the same time."""
    clock = SettableClock(DAY + timedelta(days=1))
    with (
        stores.open(clock=clock) as sharded,
        open_offerlog(database_url=dsn, clock=clock, keep_deadlines=False) as single,
    ):
        for one in (sharded, single):
            one.wait(one.record(journeys(_VISITORS)).position)
        yield sharded, single


def _stands_still(address: str) -> bool:
    asked = "SELECT 1 FROM pg_stat_activity WHERE query LIKE %s AND datname = current_database()"
    return rows(address, asked, "%COPY%") != []


@contextmanager
def _counting_attempts() -> Iterator[list[int]]:
    """Note the shard of each attempt to hand a signal in."""
    attempts: list[int] = []
    hand_in = DividedWriter.hand_in

    def note(writer: DividedWriter, submitted: Any, number: int, part: Any) -> None:
        attempts.append(number)
        hand_in(writer, submitted, number, part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DividedWriter, "hand_in", note)
        yield attempts


def test_each_step_may_be_the_last(
    services: tuple[ShardedOfferlog, Offerlog],
    stores: Stores,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Late signals come in between, and repeats; the next command goes on, or undoes. Files move along.

    Some of the steps, which differ most; `make examples` takes all of them.
    """
    sharded, single = services
    monkeypatch.setattr("offerlog_application.sharding.divided_writer.PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("offerlog_application.sharding.router.PATIENCE_SECONDS", 0.3)
    target = 1
    moving = [int(one.removeprefix("visitor-")) for one in visitors_of_slice(sharded, _NUMBER, _MANY)[:3]]
    visitors = sorted({*range(0, _VISITORS, 8), *moving})
    for one in services:
        for state in ("offered", "rejected"):
            one.record([signal(state, visitor=n, actionMapId=an_id("map", n % 3)) for n in moving])
    assert all(archive_servers(sharded, tmp_path))
    for n, step in enumerate([*STEPS, *BEFORE] if "OFFERLOG_EXAMPLES" in os.environ else _SOME_STEPS):
        # when
        kill_mover(stores.dsns[0], _NUMBER, target, step)
        # then there is one owner, or none
        late = [
            signal(state, visitor=visitor, action=10 + n, actionMapId=an_id("map", visitor % 3))
            for visitor in visitors
            for state in ("offered", "rejected")
        ]
        if step == _UNOWNED:
            assert owners_of(stores, _NUMBER) == []
            with _counting_attempts() as attempts, pytest.raises(SliceInMotionError, match="slice 3 is on"):
                sharded.record([signal("offered", visitor=moving[0], action=10 + n)])
            assert len(attempts) == 1  # no writer decides it in vain while nobody owns the slice
            # and reports are whole, as the former owner has all of it
            assert sharded.report(ReportQuery("default")) == single.report(ReportQuery("default"))
            if n % 2:
                assert undo_move(stores, _NUMBER) == 1 - target
        else:
            assert len(owners_of(stores, _NUMBER)) == 1
            outcomes = [one.record(late).outcomes for one in services]
            assert outcomes[0] == outcomes[1]
        # and the next command goes on
        move_slice(stores, _NUMBER, target)
        assert owners_of(stores, _NUMBER) == [target]
        for one in services:
            one.wait(one.record(late).position or 0)
        compare_answers(sharded, single, _VISITORS)
        assert rows(stores.dsns[0], "SELECT * FROM slice_moves") == []
        for address in stores.dsns:
            assert rows(address, "SELECT * FROM leaving_slices") == []
        check_places(stores, tmp_path)
        assert rows(stores.dsns[target], "SELECT 1 FROM archived_files WHERE slice = %s", _NUMBER)
        target = 1 - target
    assert [proof.differences for proof in sharded.verify()] == [()] * 6


class _StandingMover:
    """A mover that stands still before a step, in a thread.

    Attributes:
        error: The error with which it has ended.
    """

    def __init__(self, stores: Stores, name: str) -> None:
        self.error: BaseException | None = None
        self._began, self._goes_on = threading.Event(), threading.Event()
        self._stores = stores
        self._thread = threading.Thread(target=self._move)
        step = getattr(Handover, name)

        def stand_still(*args: Any) -> Any:
            self._began.set()
            assert self._goes_on.wait(60)
            return step(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Handover, name, stand_still)
            self._thread.start()
            assert self._began.wait(60)

    def _move(self) -> None:
        try:
            move_slice(self._stores, _NUMBER, 1)
        except OfferlogError as error:
            self.error = error

    def go_on(self) -> None:
        """Let it go on, up to its end."""
        self._goes_on.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.mark.parametrize("name", ["fence", "take"])
def test_a_mover_that_stands_still_before_or_behind_the_fence_cannot_take_what_was_undone(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, name: str
) -> None:
    """Its label is closed, and the slice stays where it was."""
    sharded, single = services
    mover = _StandingMover(stores, name)
    # when
    assert undo_move(stores, _NUMBER) == 0
    late = [signal("offered", visitor=n, action=60) for n in range(_VISITORS)]
    outcomes = [one.record(late).outcomes for one in services]
    mover.go_on()
    # then, unless it has stood still for so long that its session was ended
    assert "undone meanwhile" in str(mover.error) or "idle-in-transaction timeout" in str(mover.error)
    assert owners_of(stores, _NUMBER) == [0]
    assert outcomes[0] == outcomes[1]
    for one in services:
        one.catch_up()
    compare_answers(sharded, single, _VISITORS)
    move_slice(stores, _NUMBER, 1)
    compare_answers(sharded, single, _VISITORS)


def test_a_take_that_comes_before_the_label_is_closed_wins(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores
) -> None:
    """Whoever undoes closes the label first, and sees the take: there are never two owners."""
    sharded, single = services
    mover = _StandingMover(stores, "take")
    close = move_steps.close

    def close_late(*args: Any) -> None:
        mover.go_on()
        close(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(move_steps, "close", close_late)
        assert undo_move(stores, _NUMBER) == 1
    assert mover.error is None
    assert owners_of(stores, _NUMBER) == [1]
    compare_answers(sharded, single, _VISITORS)


@pytest.mark.parametrize("is_fenced", [False, True])
def test_a_writer_of_the_former_owner_is_waited_for(
    services: tuple[ShardedOfferlog, Offerlog],
    stores: Stores,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_fenced: bool,
) -> None:
    """It stands between its look at the epoch and its commit; what it records moves along.

    Who stands there before the fence is waited for while the slice has its owner.
    """
    sharded, single = services
    gate = 4711
    if is_fenced:
        monkeypatch.setattr(SliceMover, "_await_hung", lambda *_: None)
    with psycopg.connect(stores.dsns[0], options="-c search_path=offerlog", autocommit=True) as held:
        held.execute("SELECT pg_advisory_lock(%s)", (gate,))
        held.execute(
            f"""
            CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                WHILE NOT pg_try_advisory_xact_lock_shared({gate}) LOOP PERFORM pg_sleep(0.01); END LOOP;
                RETURN NULL;
            END $$;
            CREATE CONSTRAINT TRIGGER stand_still AFTER INSERT ON offerlog_events
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stand_still()
            """.encode()
        )
        visitor = visitors_of_slice(sharded, _NUMBER, _MANY)[0].removeprefix("visitor-")
        late = [signal("offered", visitor=visitor, action=50)]
        outcomes: list[object] = []
        writer = threading.Thread(target=lambda: outcomes.append(sharded.record(late).outcomes))
        writer.start()
        until(lambda: _stands_still(stores.dsns[0]))
        mover = threading.Thread(target=lambda: move_slice(stores, _NUMBER, 1))
        mover.start()
        # when the slice is fenced, or about to be, and the writer still stands there
        if is_fenced:
            until(lambda: rows(stores.dsns[0], "SELECT 1 FROM leaving_slices") != [])
        else:
            until(lambda: rows(stores.dsns[0], "SELECT step FROM slice_moves") == [("comparing",)])
        mover.join(0.5)
        assert mover.is_alive()
        assert owners_of(stores, _NUMBER) == ([] if is_fenced else [0])
        held.execute("SELECT pg_advisory_unlock(%s)", (gate,))
        writer.join(60)
        mover.join(60)
    # then
    assert owners_of(stores, _NUMBER) == [1]
    assert outcomes == [single.record(late).outcomes]
    assert sharded.record(late).outcomes == single.record(late).outcomes
    for one in services:
        one.catch_up()
    compare_answers(sharded, single, _VISITORS)


def test_a_mover_that_another_one_has_overtaken_looks_again(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read the same owner. The slice went with the first one, to where both would bring it."""
    check = SliceMover._check

    def overtake(mover: SliceMover, move: Move) -> None:
        monkeypatch.undo()
        check(mover, move)
        move_slice(stores, _NUMBER, 1)

    monkeypatch.setattr(SliceMover, "_check", overtake)
    assert move_slice(stores, _NUMBER, 1) == MovedSlice(1, 0, 0.0)
    assert owners_of(stores, _NUMBER) == [1]
    compare_answers(*services, _VISITORS)


def test_two_moves_in_opposite_directions_do_not_wait_for_each_other_in_a_circle(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would get the lock of its source, and wait in vain for that of the other. One waits for both."""
    enter, both = slice_keeping.enter_rebuild_lock, threading.Barrier(2)

    def enter_together(held: ExitStack, connection: Any, seconds: float) -> None:
        enter(held, connection, seconds)
        with suppress(threading.BrokenBarrierError):
            both.wait(1.0)

    monkeypatch.setattr(moving, "enter_rebuild_lock", enter_together)
    with ThreadPoolExecutor(2) as pool:
        moves = [pool.submit(move_slice, stores, number, shard) for number, shard in ((_NUMBER, 1), (9, 0))]
        assert [one.result(60).source for one in moves] == [0, 1]
    assert (owners_of(stores, _NUMBER), owners_of(stores, 9)) == ([1], [0])
    # and whoever has waited in vain for a lock is told that it was busy
    monkeypatch.undo()
    monkeypatch.setattr(moving, "_LOCK_SECONDS", 0.0)
    with services[0]._router.home.keep_slices(), pytest.raises(ShardBusyError) as caught:
        move_slice(stores, _NUMBER, 0)
    assert code_of(caught.value) is ExitCode.BUSY
    compare_answers(*services, _VISITORS)


def test_a_target_that_goes_away_during_the_rest_leaves_the_slice_where_it_was_or_is_found(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores
) -> None:
    """The error says what to do, and the same command goes on afterwards. Ctrl-C at that place stays one."""
    sharded, single = services
    take = Handover.take

    def interrupt(handover: Handover, _: Rest) -> None:
        handover._target.pgconn.send_query(b"SELECT pg_sleep(0.1)")
        raise KeyboardInterrupt

    def go_away(*args: Any) -> None:
        stores.proxy.go_away()
        take(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Handover, "take", interrupt)
        with pytest.raises(KeyboardInterrupt):
            move_slice(stores, _NUMBER, 1)
        patch.setattr(Handover, "take", go_away)
        with pytest.raises(ShardError, match="run the same command again"):
            move_slice(stores, _NUMBER, 1)
    stores.proxy.come_back()
    move_slice(stores, _NUMBER, 1)
    until(lambda: _is_whole(sharded), 60)
    compare_answers(sharded, single, _VISITORS)


def test_a_former_server_that_is_down_keeps_the_command_from_success(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores
) -> None:
    """A killed mover has left rows there: without the error, nobody would know of them."""
    sharded, single = services
    move_slice(stores, _NUMBER, 1)
    kill_mover(stores.dsns[0], _NUMBER, 0, "directory")
    # when
    stores.proxy.go_away()
    for go_on in (lambda: move_slice(stores, _NUMBER, 0), lambda: undo_move(stores, _NUMBER)):
        with pytest.raises(ShardError, match="shard 1, which had slice 3 before, cannot be reached"):
            go_on()
    # then the move is still listed, and the same command ends it later
    assert rows(stores.dsns[0], "SELECT slice FROM slice_moves") == [(_NUMBER,)]
    stores.proxy.come_back()
    move_slice(stores, _NUMBER, 0)
    assert rows(stores.dsns[0], "SELECT slice FROM slice_moves") == []
    assert rows(stores.dsns[1], "SELECT slice FROM leaving_slices") == []
    until(lambda: _is_whole(sharded), 60)
    compare_answers(sharded, single, _VISITORS)


def _is_whole(service: ShardedOfferlog) -> bool:
    try:
        service.report(ReportQuery("default"))
    except ShardUnavailableError:
        return False
    return True
