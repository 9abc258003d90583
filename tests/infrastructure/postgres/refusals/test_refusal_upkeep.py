"""The refusal log keeps to its retention and its quota of texts; no outcome and no count depends on it."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import OperationalError

from offerlog_application.offerlog import Offerlog
from offerlog_application.refusals import upkeep
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.outcomes import OutcomeKind, Reason
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.refusals import refusal_log, text_quota
from offerlog_infrastructure.testing.clock import SettableClock
from support.internals import application_of
from support.recount import rows, until

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

Opened = Callable[[RefusalPolicy], Offerlog]


@pytest.fixture
def clock() -> SettableClock:
    """The clock of all services of a test."""
    return SettableClock(NOON)


@pytest.fixture
def opened(dsn: str, clock: SettableClock) -> Iterator[Opened]:
    """Opens services under a policy; they are closed when the test ends."""
    services: list[Offerlog] = []

    def open_one(policy: RefusalPolicy) -> Offerlog:
        service = open_offerlog(database_url=dsn, keep_deadlines=False, clock=clock, refusal_policy=policy)
        services.append(service)
        return service

    yield open_one
    for service in services:
        service.close()


def kept(service: Offerlog, organization: str = "default") -> list[bytes]:
    """The texts that the refusal log keeps."""
    return [one.raw for one in service.refusals(organization=organization)]


def test_refusals_older_than_the_retention_go_and_their_counts_stay(
    opened: Opened, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of every organization, in steps of any size; the younger ones stay."""
    monkeypatch.setattr(refusal_log.PostgresRefusalLog.prune, "__defaults__", (3,))
    service = opened(RefusalPolicy(retention=timedelta(days=30)))
    for organization in ("default", "another"):
        service.record([b"old"] * 8, organization=organization)
    clock.advance(timedelta(days=30))
    service.record([b"new"] * 2)
    assert service.prune_refusals() == 0
    clock.advance(timedelta(seconds=1))
    assert service.prune_refusals() == 16
    assert kept(service) == [b"new"] * 2
    assert kept(service, "another") == []
    assert service.refusal_counts().counts == {Reason.MALFORMED: 10}
    assert service.refusal_counts(organization="another").counts == {Reason.MALFORMED: 8}


@pytest.mark.parametrize("retention", [timedelta(0), timedelta(days=3_660)])
def test_without_retention_nothing_goes(opened: Opened, clock: SettableClock, retention: timedelta) -> None:
    """Zero is for ever; the tallies are folded all the same."""
    service = opened(RefusalPolicy(retention=retention, unattributed_retention=timedelta(0)))
    service.record([b"no signal"])
    clock.advance(timedelta(days=3_000))
    assert service.prune_refusals() == 0
    assert len(kept(service)) == 1


def test_refusals_that_nobody_can_attribute_have_a_retention_of_their_own(
    opened: Opened, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that name a visitor stay, also where the others are kept for ever; in steps of any size."""
    # given
    monkeypatch.setattr(refusal_log.PostgresRefusalLog.prune_unattributed, "__defaults__", (3,))
    service = opened(RefusalPolicy(retention=timedelta(0), unattributed_retention=timedelta(days=7)))
    named = b'{"customerId": "v"}'
    service.record([b"nobody's"] * 8 + [named])
    service.record([b"nobody's"], organization="another")
    # when
    clock.advance(timedelta(days=7))
    service.record([b"new"])
    at_seven_days = service.prune_refusals()
    clock.advance(timedelta(seconds=1))
    # then
    assert (at_seven_days, service.prune_refusals()) == (0, 9)
    assert kept(service) == [named, b"new"]
    assert service.refusal_counts().counts == {Reason.MALFORMED: 10}


def test_refusals_that_keep_coming_do_not_put_off_the_retention(opened: Opened, clock: SettableClock) -> None:
    """Tallies that come while others are folded are left for the next time."""
    # given old refusals, and a service that refuses something between any two steps of the upkeep
    service = opened(RefusalPolicy(retention=timedelta(days=1)))
    service.record([b"old"] * 5)
    clock.advance(timedelta(days=2))
    pauses: list[int] = []

    def pause() -> bool:
        pauses.append(len(service.record([b"new"]).outcomes))
        return len(pauses) == 20

    # when the upkeep runs
    pruned = service._refusal_upkeep.run(pause)
    # then it comes to the old ones, and to its end
    assert (pruned, len(pauses) < 20) == (5, True)
    assert b"old" not in kept(service)


def test_pruning_waits_for_nobody_and_nobody_for_it(opened: Opened, dsn: str, clock: SettableClock) -> None:
    """Rows that somebody else holds are left for the next time; what is recorded meanwhile does not wait."""
    service = opened(RefusalPolicy(retention=timedelta(days=1)))
    service.record([b"old"] * 50)
    clock.advance(timedelta(days=2))
    with psycopg.connect(dsn, options="-c search_path=offerlog") as connection:
        connection.execute("SELECT FROM refusals WHERE id % 2 = 0 FOR UPDATE")
        began = time.monotonic()
        assert service.prune_refusals() == 25
        service.record([b"new"])
        assert len(kept(service)) == 26
        assert time.monotonic() - began < 4  # a lock is waited for 5 seconds
    assert service.prune_refusals() == 25
    assert kept(service) == [b"new"]


def test_a_process_that_keeps_deadlines_prunes_by_itself(
    opened: Opened, clock: SettableClock, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And folds the tallies."""
    monkeypatch.setattr(upkeep, "_UPKEEP_SECONDS", 0.05)
    service = opened(RefusalPolicy(retention=timedelta(days=1)))
    service.record([b"old"] * 5)
    clock.advance(timedelta(days=2))
    service.keep_deadlines()
    until(lambda: rows(dsn, "SELECT FROM refusals") == [])
    until(lambda: rows(dsn, "SELECT FROM refusal_tallies") == [])
    assert service.refusal_counts().counts == {Reason.MALFORMED: 5}


def test_beyond_the_quota_a_refusal_is_kept_without_its_text(opened: Opened, clock: SettableClock) -> None:
    """With its reason, cause and length; the outcome is the same, and the next day begins anew."""
    service = opened(RefusalPolicy(text_bytes_a_day=100))
    texts = [b"x" * 40, b"y" * 40, b"z" * 40, b"w" * 20]
    receipt = service.record(texts)
    assert {(one.kind, one.reason) for one in receipt.outcomes} == {(OutcomeKind.REFUSED, Reason.MALFORMED)}
    found = list(service.refusals())
    assert [one.raw for one in found] == [b"x" * 40, b"y" * 40, b"", b"w" * 20]
    assert [one.raw_length for one in found] == [40, 40, 40, 20]
    assert all(one.cause for one in found)
    service.record([b"beyond"])
    service.record([b"of another"], organization="another")
    assert kept(service)[-1] == b""
    assert kept(service, "another") == [b"of another"]
    clock.advance(timedelta(hours=12))
    service.record([b"tomorrow"])
    assert kept(service)[-1] == b"tomorrow"
    assert service.refusal_counts().counts == {Reason.MALFORMED: 6}


def test_the_quota_holds_over_restarts_writers_and_folding(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every writer learns what the others have written; pruning gives no text back."""
    monkeypatch.setattr(text_quota, "_FRESH_SECONDS", 0.0)
    policy = RefusalPolicy(text_bytes_a_day=100)
    one, other = opened(policy), opened(policy)
    one.record([b"x" * 60])
    other.record([b"y" * 60])
    one.prune_refusals()
    one.record([b"z" * 40])
    other.record([b"w"])
    assert kept(one) == [b"x" * 60, b"", b"z" * 40, b""]


def test_a_text_counts_once_however_often_its_commit_is_tried(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be stored takes nothing of the quota."""
    # given a quota, and a store that fails twice
    service = opened(RefusalPolicy(text_bytes_a_day=100))
    recorder, tries = application_of(service).log, list[int]()
    append = recorder.append

    def failing(*asked: Any, **how: Any) -> int | None:
        tries.append(len(asked))
        if len(tries) <= 2:
            raise OperationalError("the server has gone away")
        return append(*asked, **how)

    monkeypatch.setattr(recorder, "append", failing)
    # when a text of less than that is refused
    service.record([b"x" * 60])
    # then it is kept
    assert len(tries) == 3
    assert kept(service) == [b"x" * 60]


def test_a_quota_of_nothing_keeps_no_text(opened: Opened) -> None:
    """For those who may not keep what visitors send."""
    service = opened(RefusalPolicy(text_bytes_a_day=0))
    service.record([b"no signal"])
    assert kept(service) == [b""]
