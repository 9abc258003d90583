"""A mover that is killed or stands still while a service runs: the service ends its move by itself."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from offerlog import Offerlog, ReportQuery
from offerlog.testing import SettableClock
from offerlog_application.ports.shards import ENDED_STEPS
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.installation import Installation
from offerlog_infrastructure.postgres.log import hung_sessions
from offerlog_infrastructure.postgres.shards import interrupted_moves, slice_counts, slice_leave
from offerlog_infrastructure.postgres.shards.interrupted_moves import InterruptedMoves
from offerlog_infrastructure.postgres.shards.move_ends import MoveEnds
from support.installations import (
    Stores,
    compare_answers,
    make_stores,
    move_slice,
    owners_of,
    undo_move,
    visitors_of_slice,
)
from support.journeys import DAY, an_id, journeys
from support.journeys import signal as make_signal
from support.keyrings import run_keyring
from support.killed_mover import kill_mover, start_mover
from support.processes import LimitedProcess
from support.recount import rows, until
from support.shard_archives import archive_servers, check_places

_VISITORS: Final = 24
_MANY: Final = 1_000
"""Among so many visitors are some of each slice."""

_NUMBER: Final = 3
"""The slice that moves; shard 0 has it at the beginning of each test."""

_LOCKED: Final = """
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 1003 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""The session that has the lock of the slice."""

_MOVE: Final = "the move of slice 3 from shard 0 to 1"

_SECONDS: Final = 120.0
"""What takes a second or two may take so long on a machine under load."""


@pytest.fixture(scope="module")
def stores(make_module_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 7, and a shard with the others."""
    with make_stores(make_module_dsn, "8-f") as stores:
        yield stores


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place of the archives."""
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def services(
    stores: Stores, make_module_dsn: Callable[[], str], archive: Path
) -> Iterator[tuple[ShardedOfferlog, Offerlog]]:
    """The service over all of them, and one over a single store, at the same time; both without upkeep.

    Of the first, what is cold is archived.
    """
    clock = SettableClock(DAY + timedelta(days=1))
    with (
        stores.open(clock=clock) as sharded,
        open_offerlog(database_url=make_module_dsn(), clock=clock, keep_deadlines=False) as single,
    ):
        moving = [int(one.removeprefix("visitor-")) for one in visitors_of_slice(sharded, _NUMBER, _MANY)[:3]]
        cold = [(n, state) for n in moving for state in ("offered", "rejected")]
        for one in (sharded, single):
            one.record([make_signal(state, visitor=n, actionMapId=an_id("map", n % 3)) for n, state in cold])
            one.wait(one.record(journeys(_VISITORS)).position)
            one.expire()
            one.catch_up()
        assert all(archive_servers(sharded, archive))
        assert rows(stores.dsns[0], "SELECT 1 FROM archived_files WHERE slice = %s", _NUMBER)
        yield sharded, single


@pytest.fixture(autouse=True)
def _at_home(stores: Stores, archive: Path) -> Iterator[None]:
    yield
    if owners_of(stores, _NUMBER) != [0]:
        move_slice(stores, _NUMBER, 0)
    check_places(stores, archive)


def _moves_of(service: ShardedOfferlog) -> InterruptedMoves:
    found = service._moves
    assert isinstance(found, InterruptedMoves)
    return found


def _look(service: ShardedOfferlog) -> None:
    """Let a service look once, as its upkeep does every second."""
    _moves_of(service).end_interrupted(service.servers())


def _has_ended(stores: Stores) -> bool:
    asked = """
        SELECT slice FROM leaving_slices UNION ALL SELECT slice FROM arrived_slices
        UNION ALL SELECT slice FROM arriving_slices WHERE label > 0
    """
    return all(rows(address, asked) == [] for address in stores.dsns)


def _look_until_ended(service: ShardedOfferlog, stores: Stores) -> None:
    def has_ended() -> bool:
        _look(service)
        return _has_ended(stores)

    until(has_ended, _SECONDS)


def _steps(stores: Stores) -> list[str]:
    """What the home has noted of moves."""
    return [step for (step,) in rows(stores.dsns[0], "SELECT step FROM slice_moves")]


def _compare(services: tuple[ShardedOfferlog, Offerlog], action: int) -> None:
    """Record the same for both, with visitors of the slice, and compare the answers."""
    sharded, single = services
    moving = [int(one.removeprefix("visitor-")) for one in visitors_of_slice(sharded, _NUMBER, _MANY)[:3]]
    late = [
        make_signal("offered", visitor=visitor, action=action, actionMapId=an_id("map", visitor % 3))
        for visitor in sorted({*range(0, _VISITORS, 8), *moving})
    ]
    outcomes = [one.record(late).outcomes for one in services]
    assert outcomes[0] == outcomes[1]
    for one in services:
        one.catch_up()
    compare_answers(sharded, single, _VISITORS)


_WAITED_AT_THE_TAKE = """
    INSERT INTO taken_counts (slice, epoch, table_name, counts)
    SELECT slice, epoch, 'dead_letters', '[{"view": "performance", "originator_version": 1,
        "originator_id": "30000000-0000-0000-0000-000000000001"}]'
    FROM taken_counts LIMIT 1 RETURNING id
"""


def _messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == interrupted_moves.__name__]


def test_a_move_whose_mover_was_killed_ends_by_itself(
    services: tuple[ShardedOfferlog, Offerlog],
    stores: Stores,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two processes see it at once, and one of them ends it. It does not fold the events again."""
    clock = SettableClock(DAY + timedelta(days=1))
    monkeypatch.delattr(slice_leave, "fold_apart")  # the take has stored the counts
    expected = [("fence", "undone", 0), ("commit", "completed", 1)]
    with (
        stores.open(clock=clock, keep_deadlines=True) as first,
        stores.open(clock=clock, keep_deadlines=True) as second,
    ):
        for n, (step, how, owner) in enumerate(expected):
            caplog.clear()
            # when
            kill_mover(stores.dsns[0], _NUMBER, 1, step)
            # then
            until(lambda: {*_steps(stores)} & {*ENDED_STEPS}, _SECONDS)
            assert _steps(stores) == [how]
            assert _has_ended(stores)
            assert owners_of(stores, _NUMBER) == [owner]
            until(lambda: _messages(caplog), _SECONDS)
            (message,) = _messages(caplog)
            assert message == f"{_MOVE} was interrupted, and was {how}: shard {owner} has the slice"
            _compare(services, 70 + n)
        for one in (first, second):
            assert one.report(ReportQuery("default")) == services[1].report(ReportQuery("default"))
    with Installation(None, stores.dsns[0], run_keyring()) as installation:
        assert installation.verify() == []
        assert [one.step for one in installation.moves()] == ["completed"]


def test_a_process_without_upkeep_ends_nothing(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores
) -> None:
    """And a note of a move that has ended is not deleted by the first look, but by a later one."""
    sharded, _ = services
    assert sharded._moves_keeper is None
    kill_mover(stores.dsns[0], _NUMBER, 1, "all but the note")
    assert _steps(stores) == ["leaving"]
    assert rows(stores.dsns[1], "SELECT slice FROM taken_counts") != []
    _look(sharded)
    assert _steps(stores) == ["leaving"]

    def is_forgotten() -> bool:
        _look(sharded)
        return _steps(stores) == []

    until(is_forgotten, _SECONDS)  # the server takes a moment to miss the killed one
    assert rows(stores.dsns[1], "SELECT slice FROM taken_counts") == []


def test_a_service_keeps_the_slice_for_itself_while_it_folds_many_events(
    services: tuple[ShardedOfferlog, Offerlog],
    stores: Stores,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It folds them if no counts are stored: an older offerlog has taken the slice.

    Its session is not idle meanwhile. If that is lost once the rows are deleted, the move has ended.
    """
    sharded, _ = services
    fold, stay, end = slice_counts.fold_apart, interrupted_moves._stay, MoveEnds.end
    sessions: list[int] = []

    def fold_many(connection: Any, schema: str, slice_range: Any, on_events: Callable[[int], None]) -> Any:
        on_events(2_000)
        return fold(connection, schema, slice_range, on_events)

    def note(connection: Any) -> None:
        sessions.append(connection.info.backend_pid)
        stay(connection)

    def end_and_lose(*arguments: Any) -> None:
        end(*arguments)
        held = [pid for (pid,) in rows(stores.dsns[1], _LOCKED)]
        assert held == sessions[:1]
        rows(stores.dsns[1], "SELECT pg_terminate_backend(%s)", held[0])
        until(lambda: rows(stores.dsns[1], _LOCKED) == [], _SECONDS)

    monkeypatch.setattr(slice_leave, "fold_apart", fold_many)
    monkeypatch.setattr(interrupted_moves, "_stay", note)
    monkeypatch.setattr(MoveEnds, "end", end_and_lose)
    kill_mover(stores.dsns[0], _NUMBER, 1, "commit")
    assert rows(stores.dsns[1], "DELETE FROM taken_counts RETURNING slice")
    # when
    _look_until_ended(sharded, stores)
    # then
    assert _steps(stores) == ["completed"]
    assert _messages(caplog) == [f"{_MOVE} was interrupted, and was completed: shard 1 has the slice"]


@contextmanager
def _stopped(stores: Stores, step: str) -> Iterator[LimitedProcess]:
    """A mover to shard 1 that was stopped at a step, and is stopped still."""
    mover = start_mover(stores.dsns[0], _NUMBER, 1, step, signal.SIGSTOP)
    try:
        _, status = os.waitpid(mover.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        yield mover
    finally:
        mover.kill()
        mover.communicate(timeout=_SECONDS)


def _go_on(mover: LimitedProcess) -> str:
    """Let a stopped mover go on up to its end; returns its errors."""
    mover.send_signal(signal.SIGCONT)
    return str(mover.communicate(timeout=_SECONDS)[1])


def test_a_mover_that_stands_still_without_an_owner_is_ended(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once, as long as it may only be slow. It goes on later, and finds its session gone."""
    sharded, _ = services
    with _stopped(stores, "fence") as mover:
        for _ in range(3):
            _look(sharded)
        assert owners_of(stores, _NUMBER) == []
        monkeypatch.setattr(interrupted_moves, "_SHORT_SECONDS", 0.0)
        monkeypatch.setattr(hung_sessions, "HUNG_SECONDS", 1)
        _look_until_ended(sharded, stores)
        assert owners_of(stores, _NUMBER) == [0]
        # when
        errors = _go_on(mover)
        # then
        assert "StoreUnavailableError" in errors or "ShardError" in errors
    assert owners_of(stores, _NUMBER) == [0]
    assert _has_ended(stores)
    _compare(services, 82)


def test_a_mover_that_was_wrongly_thought_dead_cannot_take_the_slice(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if its lock had been lost without its transaction: the label protects."""
    sharded, _ = services

    def hold_nothing(*_: Any) -> Any:
        return nullcontext(True)

    with _stopped(stores, "fence") as mover:
        with monkeypatch.context() as patch:
            patch.setattr(interrupted_moves, "is_mover_there", lambda *_: False)
            patch.setattr(interrupted_moves, "hold_mover_lock", hold_nothing)
            _look(sharded)
        assert owners_of(stores, _NUMBER) == [0]
        # when
        errors = _go_on(mover)
        # then, unless it has stood still for so long that its session was ended
        assert "the move was undone meanwhile" in errors or "idle-in-transaction timeout" in errors
    assert owners_of(stores, _NUMBER) == [0]
    assert _has_ended(stores)
    _compare(services, 84)


def test_a_mover_that_stands_still_behind_the_take_gets_its_work_done(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once, as it may only be slow. It goes on later, finds nothing left to do, and succeeds.

    A dead letter that waited at the take was applied meanwhile, so the stored counts do not fit any more.
    """
    sharded, _ = services
    with _stopped(stores, "commit") as mover:
        for _ in range(3):
            _look(sharded)
        assert not _has_ended(stores)
        assert rows(stores.dsns[1], _WAITED_AT_THE_TAKE)
        monkeypatch.setattr(interrupted_moves, "_SHORT_SECONDS", 0.0)
        monkeypatch.setattr(interrupted_moves, "_STANDS_STILL_SECONDS", 0.0)
        _look_until_ended(sharded, stores)
        assert _go_on(mover) == ""
        assert mover.returncode == 0
    assert owners_of(stores, _NUMBER) == [1]
    assert _steps(stores) == []
    _compare(services, 86)


def test_a_server_that_is_down_meanwhile_is_waited_for(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    """Quietly: nobody knows without it if the mover lives. Here the slice was not fenced yet."""
    sharded, _ = services
    kill_mover(stores.dsns[0], _NUMBER, 1, "copy")
    stores.proxy.go_away()
    try:
        until(_moves_of(sharded)._stores[1].find_silence, _SECONDS)
        for _ in range(3):
            _look(sharded)
        assert _steps(stores) == ["copying"]
    finally:
        stores.proxy.come_back()
    assert _messages(caplog) == []
    _look_until_ended(sharded, stores)
    assert owners_of(stores, _NUMBER) == [0]
    assert _steps(stores) == ["undone"]
    assert undo_move(stores, _NUMBER) == 0
    assert _steps(stores) == []


def test_the_log_says_once_why_a_move_cannot_be_ended_yet(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    """Here a dead letter of the source stands against it. Later attempts are rarer, and quiet."""
    sharded, _ = services
    kill_mover(stores.dsns[0], _NUMBER, 1, "commit")
    caplog.set_level(logging.WARNING)
    stream = f"{_NUMBER:x}1000000-0000-0000-0000-000000000000"
    planted = rows(
        stores.dsns[0],
        "INSERT INTO dead_letters (view, originator_id, position, originator_version, topic, error, waiting)"
        " VALUES ('performance', %s, 1, 1, 'none', 'planted', 1) RETURNING view",
        stream,
    )
    assert planted
    moves = _moves_of(sharded)

    def has_tried_thrice() -> bool:
        _look(sharded)
        for watched in moves._watched.values():
            watched.due = 0.0
        return [watched.pause for watched in moves._watched.values()] == [4.0]

    until(has_tried_thrice, _SECONDS)
    (message,) = _messages(caplog)
    assert message.startswith(f"{_MOVE} was interrupted, and cannot be ended yet: ")
    # when
    rows(stores.dsns[0], "DELETE FROM dead_letters RETURNING view")
    # then
    _look_until_ended(sharded, stores)
    _compare(services, 88)
