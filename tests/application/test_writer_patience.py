"""How long the writer waits for a locked refusal log, and what it says of the store meanwhile."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest

from offerlog_application.ports.event_log import RefusalsLockedError, StoreUnavailableError
from offerlog_application.ports.short_signals import NO_PARKINGS, Parkings
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.recording import set_aside, store_watch
from offerlog_application.recording import writer as writers
from offerlog_application.recording.set_aside import SetAside
from offerlog_application.recording.store_watch import StoreWatch
from offerlog_application.recording.submission import Command, Submission, UndatedRefusal
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.blocked_offers import BlockedOffer
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.outcomes import Reason, Refusal
from offerlog_domain.visitor_offer import VisitorOffer
from support.memory_log import MemoryLog
from support.writing import ONE, TWO, Answers, case, kinds, make_writer, send

REFUSAL = UndatedRefusal(Reason.MALFORMED, None, None, b"no signal")
LOCKED = RefusalsLockedError("", StoreTrouble.LOCKED, table="refusals")
DISK_FULL = StoreUnavailableError("", StoreTrouble.DISK_FULL)
AWAY = StoreUnavailableError("")


class LockableLog(MemoryLog):
    """A log in memory whose refusal log somebody may lock."""

    is_locked = True
    is_always_locked = False

    def append(
        self,
        events: Sequence[RecordedEvent[Event]],
        refusals: Sequence[Refusal],
        offers: Iterable[VisitorOffer] = (),
        blocked: Sequence[BlockedOffer] = (),
        *,
        hurried: bool = False,
        epoch: int | None = None,
        parkings: Parkings = NO_PARKINGS,
    ) -> int | None:
        """As its class does, where no locked table is needed."""
        if self.is_always_locked or (refusals and self.is_locked):
            raise LOCKED
        return super().append(
            events, refusals, offers, blocked, hurried=hurried, epoch=epoch, parkings=parkings
        )


class Clock:
    """A monotonic clock that a test sets."""

    time = 1_000.0

    def __call__(self) -> float:
        """The time it was set to."""
        return self.time


@pytest.fixture
def log() -> LockableLog:
    """An empty log whose refusal log is locked."""
    return LockableLog()


@pytest.fixture
def writer(log: LockableLog) -> Iterator[GroupCommitWriter]:
    """A writer over it; the lock ends before the writer is closed."""
    writer = make_writer(log)
    yield writer
    log.is_locked = log.is_always_locked = False
    writer.close()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def watch(clock: Clock, caplog: pytest.LogCaptureFixture) -> StoreWatch:
    """A watch by that clock."""
    caplog.set_level(logging.WARNING)
    return StoreWatch(clock=clock)


def refuse(writer: GroupCommitWriter, *cases: Command) -> Answers:
    """Hand in a call with one refused signal."""
    return writer.submit(cases, [REFUSAL], kinds, organization="acme")


def submission(number: int, stream: UUID, *, age: float = 0.0) -> Submission:
    """One that was handed in so many seconds ago."""
    return Submission([case(stream)], (), kinds, None, "acme", number=number, arrived=time.monotonic() - age)


def test_the_patience_holds_while_refused_signals_keep_coming(
    writer: GroupCommitWriter, log: LockableLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are given up although their turn in a round may never come; what stands behind goes on."""
    # given a locked refusal log, and rounds that are too small for what comes
    monkeypatch.setattr(set_aside, "_ROUND", 1)
    monkeypatch.setattr(writers, "STORE_PATIENCE", 0.3)
    oldest = [refuse(writer, case(UUID(int=n))) for n in range(100, 120)]
    # when refused signals keep coming
    until = time.monotonic() + 10
    later: list[Answers] = []
    while not all(one.done() for one in oldest) and time.monotonic() < until:
        later.append(refuse(writer))
        time.sleep(0.005)
    # then all of the oldest are given up, with the reason; and the others are stored when it is over
    assert {type(one.exception(0)) for one in oldest} == {RefusalsLockedError}
    assert not later[-1].done()
    log.is_locked = False
    assert later[-1].result(10) == []
    writer.close()
    assert writer.depth == 0


def test_what_stands_behind_a_locked_refusal_log_is_given_up_in_its_own_time() -> None:
    """In one step, however many stand there; what waits for another writer keeps its own patience."""
    # given a refused call, two behind it and one beside it, all too old; and a younger one behind it
    aside = SetAside()
    refused, behind, next_one, held, young = [
        submission(n, stream, age=age)
        for n, (stream, age) in enumerate([(ONE, 150), (ONE, 140), (ONE, 130), (TWO, 130), (ONE, 100)])
    ]
    refused.delay()
    held.hold()
    aside.add([refused, held])
    for one in (behind, next_one, young):
        aside.add_behind(one)
    # when what is late is taken
    late = aside.take_late(time.monotonic() - 120)
    # then it is the refused one and those too old behind it
    assert late == [refused, behind, next_one]
    assert aside.submissions == [held, young]
    assert not aside.take_late(time.monotonic() - 120)


def test_what_waits_for_the_refusal_log_leaves_room_for_what_other_writers_hold() -> None:
    """Half of a round, however often that was tried and however many wait for the lock."""
    # given more than a round of refused calls, and then two that another writer holds
    aside = SetAside()
    refused = [submission(n, UUID(int=n)) for n in range(1_000)]
    held = [submission(n, UUID(int=n)) for n in (1_000, 1_001)]
    for one in refused:
        one.delay()
    for one in held * 3:
        one.hold()
    aside.add([*refused, *held])
    # when a round is taken
    taken = aside.take_due(time.monotonic() + 10)
    # then both are in it, and the oldest of the others
    assert set(taken) == {*held, *refused[:198]}


def test_many_behind_one_do_not_keep_it_from_its_turn() -> None:
    """They have never been tried, and cannot be before it."""
    # given one that another writer holds, and more than a round of others behind it
    aside = SetAside()
    first = submission(0, ONE)
    first.hold()
    aside.add([first])
    for n in range(1, 500):
        aside.add_behind(submission(n, ONE))
    # when a round is taken, then it begins with that one
    taken = aside.take_due(time.monotonic() + 10)
    assert [one.number for one in taken] == list(range(200))


def test_large_calls_that_wait_for_the_refusal_log_make_no_long_rounds() -> None:
    """Fresh signals wait while a round is decided: of large calls it holds few, or one."""
    # given large calls that need the locked refusal log
    aside = SetAside()
    sizes = [600, 300, 600, 5_000]
    refused = [
        Submission([case(UUID(int=n))] * size, (), kinds, None, "acme", number=n)
        for n, size in enumerate(sizes)
    ]
    for one in refused:
        one.delay()
    aside.add(refused)
    # when rounds are taken, then none is larger than a commit that is shared, or than one call
    later = time.monotonic() + 10
    assert [aside.take_due(later) for _ in range(4)] == [refused[:2], refused[2:3], refused[3:], []]
    assert not aside.stands_before(refused[0])


def test_a_locked_refusal_log_that_nothing_needs_is_an_error_and_no_endless_loop(
    writer: GroupCommitWriter, log: LockableLog
) -> None:
    """The callers get the reason; the writer goes on."""
    log.is_always_locked = True
    with pytest.raises(RefusalsLockedError):
        send(writer, case(ONE)).result(10)
    assert writer.health.trouble is LOCKED
    log.is_always_locked = False
    assert send(writer, case(ONE)).result(10) == ["recorded"]
    assert writer.health.incidents == 0


def test_a_locked_refusal_log_stays_in_sight_while_other_writes_succeed(
    writer: GroupCommitWriter,
    log: LockableLog,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In the health and in the log, until a refusal is stored."""
    # given a locked refusal log, and a refused signal that waits
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(store_watch, "_FIRST_SECONDS", 0.2)
    refused = refuse(writer)
    until = time.monotonic() + 10
    while not caplog.messages and time.monotonic() < until:
        # when other signals are stored all the time
        assert send(writer, case(UUID(int=len(log.appends) + 100))).result(10) == ["recorded"]
        # then the health names the lock, and so does the log after a while
        assert writer.health.trouble is LOCKED
    assert caplog.messages[0].startswith("refused signals wait for the refusal log")
    assert "the table refusals is locked" in caplog.messages[0]
    log.is_locked = False
    assert refused.result(10) == []
    assert writer.health.trouble is None
    assert caplog.messages[-1].startswith("the refusal log works again, after")


def test_the_log_says_that_a_refused_signal_is_given_up(
    writer: GroupCommitWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At once, where nothing has been said of the wait."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(writers, "STORE_PATIENCE", 0.0)
    with pytest.raises(RefusalsLockedError):
        refuse(writer).result(10)
    assert [line[:40] for line in caplog.messages] == ["refused signals wait for the refusal log"]


def test_a_trouble_is_over_when_nothing_was_tried_for_a_while(
    watch: StoreWatch, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The night between two failures is no wait, and neither is the night before a success."""
    # given a failure at night that callers were given
    watch.note_failure(DISK_FULL, is_final=True)
    # when the next write fails four hours later, and one that begins at once succeeds after 12 seconds
    clock.time += 14_400
    watch.note_failure(AWAY)
    clock.time += 4
    watch.note_failure(AWAY)
    began, clock.time = clock.time, clock.time + 12
    watch.note_success(began=began)
    # then the second trouble is spoken of after three seconds, with its own durations
    assert [line.split(":")[0] for line in caplog.messages] == [
        "writes wait for the store (0 seconds so far)",
        "writes wait for the store (4 seconds so far)",
        "the store works again, after 16 seconds",
    ]
    # and a success long after a failure does not count the time between
    watch.note_failure(DISK_FULL, is_final=True)
    clock.time += 14_400
    watch.note_success()
    assert caplog.messages[-1] == "the store works again; it failed last 14400 seconds ago"


def test_a_long_attempt_does_not_end_a_trouble(
    watch: StoreWatch, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """An attempt to connect may take longer than a failure stays fresh."""
    watch.note_failure(AWAY)
    began, clock.time = clock.time, clock.time + 15
    watch.note_failure(AWAY, began=began)
    assert [line.split(":")[0] for line in caplog.messages] == [
        "writes wait for the store (15 seconds so far)"
    ]


def test_a_load_ends_a_trouble_of_loads_and_none_of_appends(watch: StoreWatch) -> None:
    """A full disk can be read; it stays the state of the store until something is written."""

    def trouble() -> StoreUnavailableError | None:
        return watch.trouble

    watch.note_failure(AWAY, is_load=True)
    watch.note_success(is_load=True)
    assert trouble() is None
    watch.note_failure(DISK_FULL)
    watch.note_failure(AWAY, is_load=True)
    watch.note_success(is_load=True)
    assert trouble() is AWAY
    watch.note_success()
    assert trouble() is None


def test_repeats_alone_end_the_trouble_of_a_failed_load(
    writer: GroupCommitWriter, log: LockableLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They store nothing, so no append ever succeeds."""
    assert send(writer, case(ONE)).result(10) == ["recorded"]
    load, fails = log.load, [AWAY]

    def fail_once(offers: Any) -> Any:
        if fails:
            raise fails.pop()
        return load(offers)

    monkeypatch.setattr(log, "load", fail_once)
    assert send(writer, case(ONE)).result(10) == ["duplicate"]
    assert not fails
    assert writer.health.trouble is None
