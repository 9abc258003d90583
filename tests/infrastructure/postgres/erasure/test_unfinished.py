"""Erasures that stop half-way: each is completed by itself, once, and takes nothing of a new life."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from offerlog.testing import SettableClock
from offerlog_application.erasure.erasing import FinishedErasures
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.erasure import ErasureUnfinishedError, LegalHoldError
from offerlog_domain.service_events import ErasureReceipt, receipt_text
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.erasure.erasures import PostgresErasures
from support.journeys import journeys, signal
from support.recount import rows

REJECTED, OTHER = "visitor-1", "visitor-3"


class _KilledError(Exception):
    """The process dies here."""


def die(*_: object) -> None:
    """Die."""
    raise _KilledError


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for minutes before an erasure counts as interrupted."""
    monkeypatch.setattr("offerlog_application.erasure.erasing._INTERRUPTED_AFTER", timedelta(0))


def interrupt(service: Offerlog, *customers: str) -> None:
    """Begin erasures, and die before the second step."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PostgresErasures, "delete_late_rows", die)
        for customer in customers:
            with pytest.raises(_KilledError):
                service.erase(customer_id=customer)


def finish(service: Offerlog) -> FinishedErasures:
    """Do as the keeper does."""
    return service._eraser.finish_interrupted(10)


def test_a_damaged_event_is_counted_and_the_erasure_completes(offerlog: Offerlog, dsn: str) -> None:
    """The visitor's other events are blanked, and the receipt states the number."""
    # given
    first, *others = [one for one in journeys(7) if json.loads(one)["customerId"] == REJECTED]
    position = offerlog.record([first]).position
    offerlog.wait(offerlog.record(others).position)
    rows(dsn, "UPDATE offerlog_events SET state = '\\x00' WHERE notification_id = %s", position)
    held = [one.fields for one in offerlog.visitor_data(customer_id=REJECTED)]
    assert [one["position"] for one in held if "unreadable" in one] == [position]
    assert [one["stored_as"] for one in held if "session_id" in one and "stored_as" in one] == ["rejected.3"]
    # when
    erasure = offerlog.erase(customer_id=REJECTED)
    # then
    assert (erasure.events, erasure.unreadable) == (2, 1)
    assert rows(dsn, "SELECT count(*) FROM erasing_visitors") == [(0,)]
    ((blanked,),) = rows(
        dsn,
        "SELECT count(*) FROM offerlog_events WHERE substr(state, octet_length(state) - 34, 2) = '\\xc421'",
    )
    assert blanked == 1


def test_a_receipt_states_damaged_events_only_where_there_are_some() -> None:
    """So the texts that were signed before are the same."""
    now = datetime(2026, 11, 1, tzinfo=UTC)
    receipt = ErasureReceipt(
        organization="shop", recorded_at=now, erased_at=now, erased_position=1, events=2, refusals=0
    )
    assert "unreadable" not in receipt_text(receipt)
    damaged = ErasureReceipt(
        organization="shop",
        recorded_at=now,
        erased_at=now,
        erased_position=1,
        events=2,
        refusals=0,
        unreadable=1,
    )
    assert "events 2\nunreadable events 1\nrefusals 0\n" in receipt_text(damaged)


def test_an_erasure_that_fails_does_not_stop_the_others(
    offerlog: Offerlog, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper completes the healthy ones behind one that fails, and says why that one fails."""
    # given
    offerlog.wait(offerlog.record(journeys(7)).position)
    interrupt(offerlog, REJECTED, OTHER)
    ((token,),) = rows(dsn, "SELECT token FROM erased_visitors ORDER BY number LIMIT 1")
    blank = PostgresErasures.blank_events

    def fail(self: PostgresErasures, of: int) -> object:
        if of == token:
            raise ErasureUnfinishedError("damaged")
        return blank(self, of)

    monkeypatch.setattr(PostgresErasures, "blank_events", fail)
    # when
    finished = finish(offerlog)
    # then
    assert [one.events for one in finished.erasures] == [2]
    assert [str(one) for one in finished.errors if "damaged" in str(one)]
    assert rows(dsn, "SELECT count(*) FROM erasing_visitors") == [(1,)]


def test_two_processes_that_complete_an_erasure_give_one_receipt(make_dsn: Callable[[], str]) -> None:
    """Both return it. A process that has died behind the receipt has left it, too."""
    # given
    dsn = make_dsn()
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False) as one,
        open_offerlog(database_url=dsn, keep_deadlines=False) as other,
    ):
        one.wait(one.record(journeys(7)).position)
        interrupt(one, REJECTED)
        # when
        with ThreadPoolExecutor(2) as pool:
            found = [*pool.map(finish, (one, other))]
        # then
        positions = {erasure.receipt_position for each in found for erasure in each.erasures}
        assert len(positions) == 1
        assert not [error for each in found for error in each.errors]
        # given a process that dies behind the receipt
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(PostgresErasures, "complete", die)
            with pytest.raises(_KilledError):
                one.erase(customer_id=OTHER)
        # when
        (again,) = finish(other).erasures
    # then
    assert again.events == 2
    assert again.receipt_position == rows(dsn, "SELECT max(notification_id) FROM offerlog_events")[0][0]
    receipts = rows(dsn, "SELECT count(*) FROM offerlog_events WHERE topic = 'erasure-receipt.2'")
    assert receipts == [(2,)]
    assert rows(dsn, "SELECT count(*) FROM erasing_visitors") == [(0,)]


def test_a_call_whose_clock_is_behind_finds_the_receipt_of_the_erasure_that_it_completes(dsn: str) -> None:
    """The erasure was begun by another process, which has died behind the receipt."""
    # given
    behind = SettableClock(datetime.now(UTC) - timedelta(minutes=10))
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False) as one,
        open_offerlog(database_url=dsn, keep_deadlines=False, clock=behind) as other,
        pytest.MonkeyPatch.context() as patched,
    ):
        one.wait(one.record(journeys(7)).position)
        patched.setattr(PostgresErasures, "complete", die)
        with pytest.raises(_KilledError):
            one.erase(customer_id=REJECTED)
        patched.undo()
        # when
        erasure = other.erase(customer_id=REJECTED)
    # then
    receipts = rows(dsn, "SELECT notification_id FROM offerlog_events WHERE topic = 'erasure-receipt.2'")
    assert receipts == [(erasure.receipt_position,)]


def test_the_refusals_of_a_new_life_stay_when_an_old_erasure_is_completed(
    offerlog: Offerlog, dsn: str
) -> None:
    """Those that came before the erasure, and were stored behind its first step, go."""
    # given
    offerlog.wait(offerlog.record(journeys(7)).position)
    interrupt(offerlog, REJECTED)
    offerlog.record([signal("offered", visitor=1, sessionId="late")])
    rows(dsn, "UPDATE refusals SET recorded_at = recorded_at - interval '1 day'")
    offerlog.record([signal("offered", visitor=1, sessionId="new life")])
    rows(dsn, "UPDATE erased_visitors SET erased_at = erased_at - interval '1 hour'")
    # when
    (erasure,) = finish(offerlog).erasures
    # then
    assert erasure.refusals == 1
    (kept,) = offerlog.refusals(customer_id=REJECTED)
    assert b"new life" in kept.raw


def test_a_legal_hold_protects_refused_texts(offerlog: Offerlog, dsn: str) -> None:
    """From an older erasure of the same visitor that is completed now, and from the end of their period."""
    # given
    offerlog.wait(offerlog.record(journeys(7)).position)
    interrupt(offerlog, REJECTED)
    again = [one for one in journeys(7) if json.loads(one)["customerId"] == REJECTED]
    offerlog.wait(offerlog.record([*again, signal("offered", visitor=1, sessionId="no id")]).position)
    offerlog.record([signal("offered", visitor=3, sessionId="no id")])
    offerlog.hold_visitor(customer_id=REJECTED, reason="lawsuit")
    # when
    with pytest.raises(LegalHoldError):
        offerlog.erase(customer_id=REJECTED)
    (erasure,) = finish(offerlog).erasures
    (kept,) = offerlog.refusals(customer_id=REJECTED)
    rows(dsn, "UPDATE refusals SET recorded_at = recorded_at - interval '100 years'")
    offerlog.prune_refusals()
    # then
    assert b"no id" in kept.raw
    assert (erasure.events, erasure.refusals) == (2, 0)
    assert rows(dsn, "SELECT count(visitor_digest), count(*) FROM refusals") == [(1, 1)]
