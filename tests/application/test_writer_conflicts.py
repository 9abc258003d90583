"""Other writers that get there first, and connections that break: decided again, within bounds."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import count
from uuid import UUID

import pytest

from offerlog_application.ports.event_log import (
    OutcomeUnknownError,
    StoreUnavailableError,
    VersionConflictError,
)
from offerlog_application.recording.signal_text import SignalText
from offerlog_application.recording.submissions import OverloadedError
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_application.recording.writer_errors import ContendedError
from offerlog_domain.event_fields import Event, RecordedEvent
from support.memory_log import MemoryLog
from support.scenario import RAW, native_signal, offer_key
from support.writing import ONE, THREE, TWO, Broken, case, held, make_writer, other_writer, send


def test_after_a_conflict_only_the_stream_that_moved_is_decided_again(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """And its callers get the outcome that is true now."""
    cases = [case(ONE), case(TWO), case(ONE, "accepted"), case(THREE)]
    conflicts = iter([ONE])

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        for stream in conflicts:
            other_writer(log, stream)

    log.before_append = interfere
    assert send(writer, *cases).result(10) == ["duplicate", "recorded", "recorded", "recorded"]
    assert [one.decided for one in cases] == [2, 1, 2, 1]
    assert [len(log.events_of[stream]) for stream in (ONE, TWO, THREE)] == [2, 1, 1]


def test_after_a_fence_everything_is_decided_again_and_no_caller_notices(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """Also what a conflict before it had left as it was: that was decided under the older epoch."""
    cases = [case(ONE), case(TWO)]
    steps: Iterator[Callable[[], object]] = iter([partial(other_writer, log, ONE), log.fence, log.fence])

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        for step in steps:
            step()
            return

    log.before_append = interfere
    assert send(writer, *cases).result(10) == ["duplicate", "recorded"]
    assert [one.decided for one in cases] == [4, 3]
    assert log.loads[-3:] == [{ONE, TWO}] * 3
    assert [len(log.events_of[stream]) for stream in (ONE, TWO)] == [1, 1]


def test_a_fence_between_the_load_and_a_later_decision_is_not_missed(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """A conflict has one stream decided again under the new epoch; the other one must be, too."""
    cases = [case(ONE), case(TWO)]
    steps = iter([True])

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        for _step in steps:
            other_writer(log, ONE)
            log.fence()
            raise VersionConflictError(ONE, waiting=False)

    log.before_append = interfere
    assert send(writer, *cases).result(10) == ["duplicate", "recorded"]
    assert [one.decided for one in cases] == [2, 2]


def test_a_stream_that_moves_again_and_again_is_decided_again_each_time(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """Here by one writer that is faster three times."""
    steps = iter(["offered", "accepted", "started"])

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        for state in steps:
            other_writer(log, ONE, state)
            return

    log.before_append = interfere
    assert send(writer, case(ONE), case(ONE, "accepted"), case(ONE, "engaged")).result(10) == [
        "duplicate",
        "duplicate",
        "recorded",
    ]


def test_a_conflict_with_a_writer_that_has_not_decided_is_tried_again(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """It is set aside for a while each time, and then decided and appended anew."""
    conflicts = iter([VersionConflictError(ONE, waiting=True)] * 3)

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        for conflict in conflicts:
            raise conflict

    log.before_append = interfere
    one = case(ONE)
    assert send(writer, one).result(10) == ["recorded"]
    assert log.appends == [(1, 0)] * 4


def test_who_is_set_aside_holds_up_nobody_else(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """One visitor-offer that another writer sits on costs its own callers time, and only them."""
    sat_on = True

    def interfere(events: Sequence[RecordedEvent[Event]]) -> None:
        if sat_on and any(event.originator_id == ONE for event in events):
            raise VersionConflictError(ONE, waiting=True)

    log.before_append = interfere
    stuck = send(writer, case(ONE))
    for free in (TWO, THREE):
        assert send(writer, case(free)).result(10) == ["recorded"]
    assert not stuck.done()
    sat_on = False
    assert stuck.result(10) == ["recorded"]


def test_nothing_overtakes_at_the_same_visitor_offer(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """What was sent later waits behind what is set aside, also where only a third one joins the two."""
    sat_on = True

    def interfere(events: Sequence[RecordedEvent[Event]]) -> None:
        if sat_on and any(event.originator_id == ONE for event in events):
            raise VersionConflictError(ONE, waiting=True)

    log.before_append = interfere
    first = send(writer, case(ONE), case(TWO))
    while not writer._submissions.aside:
        assert not first.done()
    second = send(writer, case(TWO, "accepted"), case(THREE))
    third = send(writer, case(THREE, "accepted"))
    assert send(writer, case(UUID(int=4))).result(10) == ["recorded"]
    assert not any(one.done() for one in (first, second, third))
    sat_on = False
    assert first.result(10) == ["recorded", "recorded"]
    assert second.result(10) == ["recorded", "recorded"]
    assert third.result(10) == ["recorded"]


def test_nothing_overtakes_where_a_broken_neighbour_parts_the_group(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """The other half of a group waits behind what the first half has set aside, and a third one behind it."""
    sat_on = True

    def interfere(events: Sequence[RecordedEvent[Event]]) -> None:
        if sat_on and any(event.originator_id == ONE for event in events):
            raise VersionConflictError(ONE, waiting=True)

    held(writer, log)
    first, broken = (
        send(writer, case(ONE)),
        send(writer, Broken(offer_key(TWO), native_signal("offered"), SignalText(RAW))),
    )
    second, free = send(writer, case(ONE, "accepted"), case(TWO)), send(writer, case(THREE))
    third = send(writer, case(TWO, "accepted"))
    log.before_append = interfere
    log.open.set()
    assert free.result(10) == ["recorded"]
    with pytest.raises(ArithmeticError):
        broken.result(10)
    sat_on = False
    assert [one.result(10) for one in (first, second, third)] == [
        ["recorded"],
        ["recorded", "recorded"],
        ["recorded"],
    ]


def test_what_is_set_aside_counts_as_waiting(log: MemoryLog) -> None:
    """However long another writer sits on a visitor-offer, no more waits for it than may wait."""
    sat_on = True

    def interfere(events: Sequence[RecordedEvent[Event]]) -> None:
        if sat_on and any(event.originator_id == ONE for event in events):
            raise VersionConflictError(ONE, waiting=True)

    log.before_append = interfere
    with closing(make_writer(log, queue_limit=10)) as writer:
        waiting = [send(writer, case(ONE))]
        while not writer._submissions.aside:
            assert not waiting[0].done()
        for _ in range(9):
            waiting.append(send(writer, case(ONE, "accepted")))
            assert send(writer).result(10) == []  # by now the writer has seen it
        assert writer.depth == 10
        with pytest.raises(OverloadedError):
            send(writer, case(ONE, "accepted"))
        sat_on = False
        assert [one.result(10) for one in waiting[:2]] == [["recorded"], ["recorded"]]
        assert [one.result(10) for one in waiting[2:]] == [["duplicate"]] * 8
        assert writer.depth == 0


def test_conflicts_without_end_are_given_up(
    writer: GroupCommitWriter, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bounded number of attempts, then the caller is told; nothing was stored."""
    monkeypatch.setattr("offerlog_application.recording.submission._HOLD_SECONDS", (0.0, 0.01, 0.01))

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        raise VersionConflictError(ONE, waiting=True)

    log.before_append = interfere
    with pytest.raises(ContendedError):
        send(writer, case(ONE)).result(10)
    assert 2 <= len(log.appends) <= 100
    assert not log.events_of


def test_a_conflict_that_names_no_visitor_offer_ends_for_its_own_submission(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """It cannot be set aside. So the group is halved, the one is told, and the others are stored."""
    # given
    busy = held(writer, log)

    def interfere(events: Sequence[RecordedEvent[Event]]) -> None:
        if any(event.originator_id == TWO for event in events):
            raise VersionConflictError(waiting=False)

    sent = [send(writer, case(stream)) for stream in (ONE, TWO, THREE)]
    log.before_append = interfere
    # when
    log.open.set()
    # then
    assert busy.result(10) == ["recorded"]
    assert sent[0].result(10) == ["recorded"]
    assert sent[2].result(10) == ["recorded"]
    with pytest.raises(ContendedError, match="nothing of it was stored: send it again later"):
        sent[1].result(10)
    assert TWO not in log.events_of


def test_a_conflict_at_a_visitor_offer_of_nobody_in_the_group_ends(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """Whatever the cause of a conflict is, no group is tried for ever."""

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        raise VersionConflictError(THREE, waiting=False)

    log.before_append = interfere
    with pytest.raises(ContendedError):
        send(writer, case(ONE)).result(10)


def test_a_lost_connection_is_tried_again(
    writer: GroupCommitWriter, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was stored, so the same can be appended; not for ever."""
    monkeypatch.setattr("offerlog_application.recording.writer.time.sleep", abs)
    lost = iter([StoreUnavailableError("gone")] * 2)

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        for error in lost:
            raise error

    log.before_append = interfere
    assert send(writer, case(ONE)).result(10) == ["recorded"]
    lost = iter([StoreUnavailableError("gone")] * 100)
    with pytest.raises(StoreUnavailableError):
        send(writer, case(TWO)).result(10)
    assert len(log.appends) <= 20
    lost = iter([])
    assert send(writer, case(TWO)).result(10) == ["recorded"]


def test_an_unknown_outcome_is_told_to_whom_it_concerns(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """It may be stored: it is not done again behind the caller's back."""

    def interfere(events: Sequence[RecordedEvent[Event]]) -> None:
        if not log.events_of:
            log.write(events)
            raise OutcomeUnknownError("7")

    log.before_append = interfere
    with pytest.raises(OutcomeUnknownError):
        send(writer, case(ONE)).result(10)
    assert send(writer, case(ONE)).result(10) == ["duplicate"]


def test_an_unknown_outcome_is_told_to_everybody_whom_it_concerns(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """Deciding again would call what may just have been recorded a repeat."""
    log.open.clear()
    first = send(writer, case(THREE))
    assert log.entered.wait(10)
    group = [send(writer, case(ONE)), send(writer, case(TWO))]

    def interfere(events: Sequence[RecordedEvent[Event]]) -> None:
        if len(events) > 1:
            raise OutcomeUnknownError("7")

    log.before_append = interfere
    log.open.set()
    assert first.result(10) == ["recorded"]
    for caller in group:
        with pytest.raises(OutcomeUnknownError):
            caller.result(10)
    assert len(log.appends) == 2


def test_who_comes_due_between_two_looks_at_the_clock_is_not_forgotten(
    writer: GroupCommitWriter, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else need send anything for it to be tried again."""
    seconds = count(step=0.03)  # at every look
    monkeypatch.setattr("offerlog_application.recording.writer.time.monotonic", lambda: next(seconds))
    conflicts = iter([VersionConflictError(ONE, waiting=True)])

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        for conflict in conflicts:
            raise conflict

    log.before_append = interfere
    assert send(writer, case(ONE)).result(10) == ["recorded"]
