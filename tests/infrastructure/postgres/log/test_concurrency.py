"""Several services on one log: every signal is recorded once, whoever gets there first."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.recording.batches import Receipt
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from support.journeys import journeys, signal
from support.recount import event_ids, events, recounted, rows, shown, until

WAITING = "SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
LIFE = ("offered", "accepted", "started", "engaged")


@pytest.fixture
def ten(dsn: str) -> Iterator[list[Offerlog]]:
    """Ten services on one database, each with its own writer and its own connections."""
    with ExitStack() as open_services:
        yield [
            open_services.enter_context(
                open_offerlog(
                    database_url=dsn, keep_deadlines=False, library_settings={"POSTGRES_POOL_SIZE": "1"}
                )
            )
            for _ in range(10)
        ]


def at_once(services: list[Offerlog], act: Callable[[int, Offerlog], list[Receipt]]) -> list[list[Receipt]]:
    """What each service answers when all begin at the same moment."""
    start = threading.Barrier(len(services))

    def run(number: int) -> list[Receipt]:
        start.wait(60)
        return act(number, services[number])

    with ThreadPoolExecutor(len(services)) as pool:
        return list(pool.map(run, range(len(services))))


def outcomes(answers: list[list[Receipt]]) -> dict[str, Counter[str]]:
    """How often each signal got which outcome."""
    counted: dict[str, Counter[str]] = {}
    for receipts in answers:
        for outcome in (outcome for receipt in receipts for outcome in receipt.outcomes):
            key = f"{outcome.action_id} {outcome.state}"
            counted.setdefault(key, Counter())[outcome.kind.value] += 1
    return counted


def gapless(dsn: str) -> bool:
    """Whether every stream's versions are 1, 2, 3 and so on."""
    return not rows(
        dsn,
        "SELECT 1 FROM offerlog_events GROUP BY originator_id"
        " HAVING min(originator_version) <> 1 OR max(originator_version) <> count(*)"
        " OR count(DISTINCT originator_version) <> count(*)",
    )


def test_one_visitor_offer_by_ten_services_at_once(ten: list[Offerlog], dsn: str) -> None:
    """Each signal is recorded by exactly one; the nine others answer `duplicate`."""

    def act(_: int, service: Offerlog) -> list[Receipt]:
        return [service.record([signal(state, visitor=v)]) for v in range(4) for state in LIFE]

    counted = outcomes(at_once(ten, act))
    assert len(counted) == 16
    assert all(kinds == {"recorded": 1, "duplicate": 9} for kinds in counted.values())
    assert len(events(dsn)) == 16
    assert gapless(dsn)


def test_the_same_batches_in_ten_orders_at_once(ten: list[Offerlog], dsn: str) -> None:
    """Batches that meet in opposite orders do no harm: none fails, none is there twice."""
    visitors = list(range(60))

    def act(number: int, service: Offerlog) -> list[Receipt]:
        order = random.Random(number).sample(visitors, len(visitors))  # noqa: S311 - chance in a test
        return [
            service.record([signal(state, visitor=v) for v in order[part::2] for state in LIFE])
            for part in (0, 1)
        ]

    counted = outcomes(at_once(ten, act))
    assert len(counted) == 240
    assert all(kinds == {"recorded": 1, "duplicate": 9} for kinds in counted.values())
    assert set(event_ids(dsn).values()) == {1}
    assert gapless(dsn)


def test_all_kinds_of_journeys_by_ten_services_at_once(ten: list[Offerlog], dsn: str) -> None:
    """Whatever the interleaving, the log holds no report twice and the views show what it holds."""
    lines = journeys(70)

    def act(number: int, service: Offerlog) -> list[Receipt]:
        return [service.record(lines[n::10]) for n in (number, (number + 1) % 10)]

    at_once(ten, act)
    ids = event_ids(dsn)
    assert set(ids.values()) <= {1, 2}  # a parked report is there when it came and when it came true
    assert gapless(dsn)
    ten[0].rebuild()
    assert shown(ten[0], dsn) == recounted(dsn)


def test_a_hanging_writer_delays_and_does_no_harm(dsn: str, offerlog: Offerlog) -> None:
    """Another one sits on the next version of a stream until the server ends it: all else gets through.

    Signals of other visitors that are in the same group share the wait.
    """
    offerlog.record([signal("offered", visitor="held")])
    take = (
        "INSERT INTO offerlog_events (originator_id, originator_version, topic, state)"
        " SELECT originator_id, originator_version + 1, topic, state FROM offerlog_events"
    )
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as hanging:
        hanging.execute("SET idle_in_transaction_session_timeout = '5s'")
        hanging.execute(take.encode())
        began = time.monotonic()
        held = offerlog.submit([signal("accepted", visitor="held")])
        others = [offerlog.submit([signal("offered", visitor=n)]) for n in range(20)]
        assert [f.result(timeout=30).outcomes[0].kind.value for f in others] == ["recorded"] * 20
        assert held.result(timeout=30).outcomes[0].kind.value == "recorded"
        assert time.monotonic() - began < 30
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            hanging.commit()
    assert set(event_ids(dsn).values()) == {1}
    assert len(events(dsn)) == 22
    assert gapless(dsn)


def test_a_deadlock_is_decided_again(dsn: str, offerlog: Offerlog) -> None:
    """Two writers that hold what the other wants: the server ends one, and the signals are recorded."""
    offerlog.record([signal("offered", visitor=visitor) for visitor in "ab"])
    take = (
        "INSERT INTO offerlog_events (originator_id, originator_version, topic, state)"
        " SELECT originator_id, originator_version + 1, topic, state FROM offerlog_events"
        " WHERE originator_id = %s"
    )
    streams = rows(dsn, "SELECT originator_id FROM offerlog_events ORDER BY notification_id")
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as other:
        other.execute(take.encode(), streams[1])
        recorded = offerlog.submit([signal("accepted", visitor=visitor) for visitor in "ab"])
        until(lambda: rows(dsn, WAITING))
        other.execute(take.encode(), streams[0])
        other.rollback()
    assert [outcome.kind.value for outcome in recorded.result(timeout=30).outcomes] == ["recorded"] * 2
    assert set(event_ids(dsn).values()) == {1}
    assert gapless(dsn)
