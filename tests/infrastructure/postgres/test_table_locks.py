"""Somebody locks a table of the store: writes and reads wait within bounds, and say what for."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Role
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.recording import answering, store_watch, writer
from offerlog_domain.outcomes import OfferMade
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres import errors as store_errors
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.held_streams import HeldKey, HeldStreamsFinder
from offerlog_infrastructure.postgres.reads import lookups
from support.internals import forget_keys
from support.journeys import an_id, signal
from support.recount import event_ids, rows, until
from support.refused_texts import refused_texts


@contextmanager
def locked(dsn: str, table: str, mode: str = "ACCESS EXCLUSIVE") -> Iterator[psycopg.Connection[Any]]:
    """A table locked as VACUUM FULL does it (or as REINDEX, in mode SHARE)."""
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as somebody:
        somebody.execute(f"LOCK TABLE {table} IN {mode} MODE".encode())
        yield somebody


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "SHARE"])
def test_writes_wait_for_a_locked_log_and_say_so(
    dsn: str,
    offerlog: Offerlog,
    mode: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before, they failed after some two to five seconds; the log speaks of a wait after three."""
    monkeypatch.setattr(store_watch, "_FIRST_SECONDS", 1.0)
    offerlog.record([signal("offered")])
    caplog.set_level(logging.WARNING)
    with locked(dsn, "offerlog_events", mode):
        # when a signal and an offer come
        waiting = offerlog.submit([signal("accepted")])
        until(lambda: offerlog.writer_health().stalled_seconds > 5.5)
        # then both wait, and who asks is told for what
        offer = offerlog.submit_offer(customer_id="x", action_map_id=an_id("map"), session_id=an_id("s"))
        assert not waiting.done()
        trouble = offerlog.writer_health().trouble
        assert trouble is not None
        assert (trouble.trouble, trouble.table) == (StoreTrouble.LOCKED, "offerlog_events")
        assert "LOCK TABLE, holds it" in trouble.holder
    # and when it is over, both are recorded, once
    assert waiting.result(timeout=30).outcomes[0].kind == "recorded"
    assert isinstance(offer.result(timeout=30), OfferMade)
    assert set(event_ids(dsn).values()) == {1}
    assert any("the table offerlog_events is locked" in line for line in caplog.messages)
    assert any("works again" in line for line in caplog.messages)
    assert offerlog.writer_health().trouble is None


def test_a_lock_that_outlasts_the_patience_of_a_write_is_the_reason_of_its_end(
    dsn: str, offerlog: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each submission waits its own time from when it was handed in; nothing of it is stored."""
    monkeypatch.setattr("offerlog_application.recording.decided.STORE_PATIENCE", 2.0)
    monkeypatch.setattr(answering, "_LATE", 0.2)
    offerlog.record([signal("offered")])
    with locked(dsn, "offerlog_events"):
        early = offerlog.submit([signal("accepted")])
        time.sleep(1.0)
        later = offerlog.submit([signal("offered", visitor="later")])
        with pytest.raises(StoreUnavailableError) as raised:
            early.result(timeout=30)
        assert not later.done()
    assert raised.value.trouble is StoreTrouble.LOCKED
    assert raised.value.summary.startswith("the table offerlog_events is locked; wait until")
    assert "process " in str(raised.value)
    assert "process " not in raised.value.summary
    assert later.result(timeout=30).outcomes[0].kind == "recorded"
    assert rows(dsn, "SELECT count(*) FROM offerlog_events") == [(2,)]


@pytest.mark.parametrize("table", ["refusals", "refusal_tallies", "refusal_counts"])
def test_a_lock_on_the_refusal_log_holds_up_only_what_is_refused(
    dsn: str, offerlog: Offerlog, table: str
) -> None:
    """Nothing that is refused is answered before its refusal is stored, and nothing overtakes it."""
    offerlog.record([signal("offered", visitor=n) for n in range(3)])
    with locked(dsn, table):
        with locked(dsn, "offerlog_events"):  # so that all that follows is one group
            first = offerlog.submit([signal("accepted", visitor=1)])
            until(first.running)
            # given a refused line beside a good one, and a signal that must not overtake them
            mixed = offerlog.submit([b"no signal", signal("accepted", visitor=0)])
            behind = offerlog.submit([signal("started", visitor=0)])
            # when good signals and an offer come in the same group
            good = [first, offerlog.submit([signal("accepted", visitor=2)])]
            offer = offerlog.submit_offer(customer_id="x", action_map_id=an_id("map"), session_id=an_id("s"))
        # then they are recorded while the lock lasts
        assert [one.result(timeout=10).outcomes[0].kind for one in good] == ["recorded"] * 2
        assert isinstance(offer.result(timeout=10), OfferMade)
        trouble = offerlog.writer_health().trouble
        assert not mixed.done()
        assert not behind.done()
        assert trouble is not None  # although the others were stored
        assert trouble.table in {"refusals", "refusal_tallies", "refusal_counts"}
    # and what waited is complete when it is over
    assert [one.kind for one in mixed.result(timeout=30).outcomes] == ["refused", "recorded"]
    assert behind.result(timeout=30).outcomes[0].kind == "recorded"
    assert refused_texts(dsn) == ["no signal"]
    assert set(event_ids(dsn).values()) == {1}


def test_a_lock_on_the_refusal_log_that_does_not_end_is_said(
    dsn: str, offerlog: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the same patience; the writer goes on."""
    monkeypatch.setattr(writer, "STORE_PATIENCE", 1.0)
    with locked(dsn, "refusals"):
        refused = offerlog.submit([b"no signal"])
        with pytest.raises(StoreUnavailableError, match="the table refusals is locked"):
            refused.result(timeout=30)
        assert offerlog.record([signal("offered")]).outcomes[0].kind == "recorded"
    assert refused_texts(dsn) == []


def test_look_ups_wait_for_a_lock_together_and_not_one_after_the_other(
    dsn: str, offerlog: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones wait for as long as readers do; those behind them are told the reason at once."""
    monkeypatch.setattr(lookups, "READERS_LOCK_TIMEOUT", "1s")
    offerlog.record([signal("offered")])  # else the organization is not known, and no table is asked
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(offerlog.suppressions, ["somebody"] * 2))
        with locked(dsn, "suppressions"):
            began = time.monotonic()
            asked = [pool.submit(offerlog.suppressions, "somebody") for _ in range(40)]
            troubles = [one.exception(timeout=60) for one in asked]
            seconds = time.monotonic() - began
            # given that a look-up waits at the lock, its end is seen at once
            waits = threading.Event()

            def ask() -> object:
                waits.set()
                return offerlog.suppressions("somebody")

            last = pool.submit(ask)
            waits.wait(10)
        assert last.result(timeout=30) == []
    assert all(isinstance(one, StoreUnavailableError) for one in troubles), troubles
    assert {one.table for one in troubles if isinstance(one, StoreUnavailableError)} == {"suppressions"}
    assert seconds < 10  # one after the other, in two lines: 20 seconds


def test_keys_are_waited_for_as_long_as_readers_wait_and_together(
    dsn: str, offerlog: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read on connections that wait for a tenth of a second only; every request needs one."""
    _, text = offerlog.keys.create("default", Role.REPORTER, "one")
    find = offerlog.keys.find
    with ThreadPoolExecutor(2) as pool:
        with locked(dsn, "api_keys"):
            asked = pool.submit(find, text)
            until(lambda: offerlog.store_failures()[StoreTrouble.LOCKED] >= 4)  # two attempts were too few
            assert not asked.done()
        found = asked.result(timeout=30)
        assert found is not None
        # and where the lock lasts, a line of requests is not kept for the time of one lock for each of them
        monkeypatch.setattr(store_errors, "LOCK_SECONDS", 1.0)
        forget_keys(offerlog)
        with locked(dsn, "api_keys"):
            began = time.monotonic()
            troubles = [pool.submit(find, text).exception(timeout=60) for _ in range(2)]
            troubles += [one.exception(timeout=60) for one in [pool.submit(find, text) for _ in range(30)]]
            assert time.monotonic() - began < 10
    assert {one.table for one in troubles if isinstance(one, StoreUnavailableError)} == {"api_keys"}
    assert all(isinstance(one, StoreUnavailableError) for one in troubles)


def test_an_index_that_is_made_on_organizations_holds_up_only_new_ones(dsn: str, offerlog: Offerlog) -> None:
    """Their keys for stream ids are read by every process, and written once."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as other:
        other.record([signal("offered")], organization="known")
        with ThreadPoolExecutor(1) as pool:
            with locked(dsn, "organizations", "SHARE"):
                new = pool.submit(offerlog.prepare, "new")
                receipt = offerlog.record([signal("accepted")], organization="known")
                assert not new.done()
            new.result(timeout=30)
    assert receipt.outcomes[0].kind == "recorded"


def test_a_locked_log_is_not_mistaken_for_a_writer_that_hangs(dsn: str, offerlog: Offerlog) -> None:
    """Where the table itself is locked, nothing is said of any visitor-offer."""
    offerlog.record([signal("offered", visitor=n) for n in range(3)])
    keys = [
        HeldKey(stream, stream, 2)
        for (stream,) in rows(dsn, "SELECT DISTINCT originator_id FROM offerlog_events")
    ]
    with closing(OfferlogApplication(dsn, SCHEMA)) as application, locked(dsn, "offerlog_events", "SHARE"):
        finder = HeldStreamsFinder(application.connect)
        with (
            pytest.raises(StoreUnavailableError, match="the table offerlog_events is locked"),
            store_reached(application.reading),
        ):
            finder.find(keys, 30, urgent=False)
