"""Group commit: one append for many callers, and each its own true answer."""

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from uuid import UUID

import pytest

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.recording.signal_text import SignalText
from offerlog_application.recording.submission import UndatedRefusal
from offerlog_application.recording.submissions import OverloadedError
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.decision import Decision
from offerlog_domain.outcomes import OutcomeKind, Reason, Refusal
from support.memory_log import MemoryLog
from support.scenario import RAW, START, native_signal, offer_key
from support.writing import ONE, THREE, TWO, Broken, case, held, make_writer, send


def _position(_: Sequence[Decision], position: int | None) -> int | None:
    return position


def test_what_waits_becomes_one_append_and_each_caller_gets_its_own(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """Decided in order of submission, each case on what the one before it left."""
    held(writer, log)
    first = send(writer, case(ONE), case(TWO, "accepted"))
    nothing = send(writer)
    second = send(writer, case(ONE, "accepted"), case(ONE), case(TWO, "ignored", "b"), case(TWO, action="b"))
    log.open.set()
    assert first.result(10) == ["recorded", "parked"]
    assert nothing.result(10) == []
    assert second.result(10) == ["recorded", "duplicate", "parked", "recorded"]
    assert log.appends == [(1, 0), (6, 0)]
    assert log.loads == [{UUID(int=99)}, {ONE, TWO}]


def test_the_answer_comes_after_the_append(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """Until then the future is not done."""
    busy = held(writer, log)
    assert not busy.done()
    log.open.set()
    assert busy.result(10) == ["recorded"]


def test_the_position_is_told_to_all_of_the_group(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """Up to there a reader must be to see it; none where nothing was appended."""
    assert writer.submit([case(ONE), case(TWO)], (), _position, organization="acme").result(10) == 2
    assert writer.submit([case(ONE)], (), _position, organization="acme").result(10) is None
    refusal = UndatedRefusal(Reason.MALFORMED, None, "x", b"{")
    assert writer.submit([], [refusal], _position, organization="acme").result(10) is None
    assert log.refused == [Refusal("acme", START, Reason.MALFORMED, None, "x", b"{")]
    assert log.appends == [(2, 0), (0, 1)]


def test_a_submission_that_fails_fails_alone(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """The rest of its group is stored and answered."""
    held(writer, log)
    broken = Broken(offer_key(TWO), native_signal("offered"), SignalText(RAW))
    futures = [send(writer, case(UUID(int=n))) for n in range(10, 15)]
    failing = send(writer, case(ONE), broken)
    futures += [send(writer, case(UUID(int=n))) for n in range(15, 18)]
    log.open.set()
    with pytest.raises(ArithmeticError):
        failing.result(10)
    assert [future.result(10) for future in futures] == [["recorded"]] * 8
    assert ONE not in log.events_of


def test_an_answer_that_cannot_be_made_fails_alone(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """What was stored stays stored, and the others are answered."""
    held(writer, log)

    def broken(decisions: Sequence[Decision], position: int | None) -> None:
        raise LookupError(decisions, position)

    failing = writer.submit([case(ONE)], (), broken, organization="acme")
    other = send(writer, case(TWO))
    log.open.set()
    with pytest.raises(LookupError):
        failing.result(10)
    assert other.result(10) == ["recorded"]
    assert log.events_of[ONE]


def test_a_cancelled_submission_is_not_stored(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """As long as the writer has not taken it; the others are."""
    busy = held(writer, log)
    cancelled, other = send(writer, case(ONE)), send(writer, case(TWO))
    assert cancelled.cancel()
    assert not busy.cancel()
    log.open.set()
    assert other.result(10) == ["recorded"]
    with pytest.raises(CancelledError):
        cancelled.result(10)
    assert ONE not in log.events_of


def test_a_group_of_cancelled_submissions_stores_nothing(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """And the writer goes on."""
    busy = held(writer, log)
    assert send(writer, case(ONE)).cancel()
    log.open.set()
    assert busy.result(10) == ["recorded"]
    assert send(writer, case(TWO)).result(10) == ["recorded"]


def test_a_group_has_a_limit(log: MemoryLog) -> None:
    """What is beyond it waits for the next; a submission larger than the limit is one group."""
    writer = make_writer(log, group_limit=3)
    busy = held(writer, log)
    sizes = [2, 1, 1, 5, 2]
    numbers = iter(range(100, 200))
    futures = [send(writer, *(case(UUID(int=next(numbers))) for _ in range(size))) for size in sizes]
    log.open.set()
    assert busy.result(10) == ["recorded"]
    assert [len(future.result(10)) for future in futures] == sizes
    assert [events for events, _ in log.appends] == [1, 3, 1, 5, 2]
    writer.close()


def test_more_than_the_queue_takes_is_turned_away(log: MemoryLog) -> None:
    """Before anything of it is stored; once there is room again, it is welcome."""
    writer = make_writer(log, queue_limit=2)
    held(writer, log)
    waiting = send(writer, case(ONE), case(TWO))
    with pytest.raises(OverloadedError) as raised:
        send(writer, case(THREE))
    assert raised.value.retry_after > 0
    log.open.set()
    assert waiting.result(10) == ["recorded", "recorded"]
    assert send(writer, case(THREE)).result(10) == ["recorded"]
    writer.close()


def test_a_submission_larger_than_the_queue_is_taken_when_nothing_waits(log: MemoryLog) -> None:
    """Otherwise it could never be."""
    writer = make_writer(log, queue_limit=2)
    futures = send(writer, case(ONE), case(TWO), case(THREE))
    assert futures.result(10) == ["recorded"] * 3
    writer.close()


def test_closing_finishes_what_was_taken_and_takes_no_more(log: MemoryLog) -> None:
    """Everything that got a future gets its answer."""
    writer = make_writer(log, group_limit=1)
    held(writer, log)
    futures = [send(writer, case(UUID(int=n))) for n in range(1, 6)]
    closing = threading.Thread(target=writer.close)
    closing.start()
    log.open.set()
    closing.join(10)
    assert [future.result(0) for future in futures] == [["recorded"]] * 5
    with pytest.raises(ClosedError):
        send(writer, case(ONE))
    writer.close()


def test_many_threads_each_get_their_own(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """The same offer from all of them is recorded once; each of the different offers, too."""
    answers: list[list[OutcomeKind | None]] = []

    def caller(number: int) -> None:
        answers.append(send(writer, case(ONE), case(UUID(int=100 + number))).result(10))

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(answer[0] for answer in answers if answer[0]) == ["duplicate"] * 15 + ["recorded"]
    assert [answer[1] for answer in answers] == ["recorded"] * 16
    assert len(log.events_of) == 17
