"""Writers, erasures and an archiver at once: nothing is lost or doubled, and nothing sealed is left."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from itertools import product
from pathlib import Path
from typing import Any, Final

from offerlog import Offerlog, open_offerlog
from offerlog_application.ports.erasure import NoSuchVisitorError
from offerlog_application.ports.slices import StoredRow
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.archive.event_files import EventTable
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.postgres.archive.archiver import PostgresArchiver
from offerlog_infrastructure.postgres.erasure.blanking import blank_state
from support.internals import application_of
from support.journeys import an_id, signal
from support.recount import rows

_VISITORS: Final = 12
_ERASED: Final = 4
_TURNS: Final = 3
_ROUNDS: Final = 4

_SELECT_PLACES: Final = "SELECT originator_id, originator_version FROM offerlog_events"


class _Crowd:
    """What happens at once, until the writers have ended."""

    def __init__(self, folder: Path) -> None:
        self.acknowledged: Counter[int] = Counter()
        self.is_over = threading.Event()
        self._folder = str(folder)
        self._lock = threading.Lock()
        self._runs, self._has_run = 0, threading.Condition()
        self._turns = threading.Barrier(2)

    def write(self, service: Offerlog, writer: int) -> None:
        """Record actions of all visitors; an errored one makes room for the next.

        Behind each turn, what was recorded is moved before anybody goes on with it.
        """
        for turn, visitor in product(range(_TURNS), range(_VISITORS)):
            if turn and not visitor:
                self._rest(service)
            for number in range(_ROUNDS):
                action = 1 + writer + 2 * (number + turn * _ROUNDS)
                sent = [
                    signal(state, visitor=visitor, action=action, eventId=an_id(visitor, action, state))
                    for state in ("offered", "errored")
                ]
                outcomes = [one.kind.value for one in service.record(sent).outcomes]
                with self._lock:
                    self.acknowledged[visitor] += outcomes.count("recorded")

    def _rest(self, service: Offerlog) -> None:
        """Wait until the archiver has had a whole run behind what both writers have recorded."""
        self._turns.wait(60)
        service.catch_up()
        assert service.evidence is not None
        service.evidence.catch_up()
        with self._has_run:
            before = self._runs
            assert self._has_run.wait_for(lambda: self._runs >= before + 2, 60)
        self._turns.wait(60)

    def archive(self, service: Offerlog) -> int:
        """Move whatever is cold, of any age; returns the number of events."""
        moved, is_last = 0, False
        while not is_last:
            is_last = self.is_over.is_set()
            part = PostgresArchiver(application_of(service), SystemClock()).move_up_to(
                (1 << 40) - 1, self._folder, lambda _: None
            )
            moved += part.events
            with self._has_run:
                self._runs += 1
                self._has_run.notify_all()
        return moved

    def erase(self, service: Offerlog) -> None:
        """Erase some visitors again and again."""
        while not self.is_over.is_set():
            for visitor in range(_ERASED):
                with suppress(NoSuchVisitorError):
                    service.erase(customer_id=f"visitor-{visitor}")


def read_files(folder: Path) -> list[StoredRow]:
    """All archived events."""
    return [row for path in folder.rglob("*.parquet") for row in EventTable(path.read_bytes()).all()]


def test_nothing_is_lost_or_doubled(make_dsn: Callable[[], str], tmp_path: Path) -> None:
    """Two writers go on in the same visitor-offers while these are moved and erased."""
    dsn, folder = make_dsn(), tmp_path / "archive"
    crowd = _Crowd(folder)
    with ExitStack() as held:
        first, second, third, fourth = (
            held.enter_context(open_offerlog(database_url=dsn, keep_deadlines=False)) for _ in range(4)
        )
        # when
        with ThreadPoolExecutor(4) as pool:
            others = pool.submit(crowd.archive, third), pool.submit(crowd.erase, fourth)
            writers = pool.submit(crowd.write, first, 0), pool.submit(crowd.write, second, 1)
            try:
                everybody: list[Future[Any]] = [*others, *writers]
                for done in as_completed(everybody, 120):
                    done.result(0)  # it has ended; an error of any of them ends the test
                    if all(one.done() for one in writers):
                        break
                third.catch_up()
                assert third.evidence is not None
                third.evidence.catch_up()
            finally:
                crowd.is_over.set()
            moved = others[0].result(120)
            others[1].result(120)
        # then
        assert moved > _VISITORS
        for visitor in range(_ERASED, _VISITORS):
            found = second.history(customer_id=f"visitor-{visitor}", action_map_id=an_id("map"))
            assert len(found.events) == crowd.acknowledged[visitor] > 0
        cold = read_files(folder)
        places = Counter([*rows(dsn, _SELECT_PLACES), *((row[1], row[2]) for row in cold)])
        assert set(places.values()) == {1}
        living = {token for (token,) in rows(dsn, "SELECT token FROM visitors")}
        erased = [row for row in cold if token_of(row[1]) not in living]
        assert all(blank_state(row[4]) == row[4] for row in erased)
        third.catch_up()
        third.evidence.catch_up()
        assert third.evidence.verify().findings == []
        assert not any(one.differences for one in third.verify())
