"""Pending answers: what one thread answers, others wait for, cancel and are called back for."""

import asyncio
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, CancelledError, wait
from itertools import count
from queue import SimpleQueue
from uuid import UUID

import pytest

from offerlog_application.recording.pending_answer import PendingAnswer, as_future
from offerlog_application.recording.submission import Submission
from offerlog_application.recording.submissions import Submissions
from offerlog_application.recording.writer import GroupCommitWriter
from support.memory_log import MemoryLog
from support.processes import finish
from support.writing import ONE, TWO, case, held, kinds, send


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns a thousand times as often, so that they meet in the middle of a step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_every_callback_is_called_once_whichever_thread_comes_first() -> None:
    """One thread answers while another adds callbacks: none is forgotten, none is called twice."""
    # given a thread that answers what it is given
    handed: SimpleQueue[PendingAnswer[int] | None] = SimpleQueue()

    def answer() -> None:
        while (pending := handed.get(timeout=30)) is not None:
            pending.set_result(7)

    thread = threading.Thread(target=answer)
    thread.start()
    # when callbacks are added at the same moment
    calls: list[int] = []
    for number in range(3_000):
        pending: PendingAnswer[int] = PendingAnswer()
        pending.add_done_callback(lambda _, n=number: calls.append(n))  # type: ignore[misc] # a default
        handed.put(pending)
        pending.add_done_callback(lambda _, n=number: calls.append(n))  # type: ignore[misc] # a default
        assert pending.result(10) == 7
    handed.put(None)
    finish(thread)
    # then each was called once
    assert sorted(calls) == [n for n in range(3_000) for _ in range(2)]


def test_a_callback_may_add_another() -> None:
    """Each is called once, before the answering is over."""
    pending: PendingAnswer[int] = PendingAnswer()
    calls: list[str] = []

    def add(_: object) -> None:
        calls.append("first")
        pending.add_done_callback(lambda _: calls.append("added"))

    pending.add_done_callback(add)
    pending.add_done_callback(lambda _: calls.append("second"))
    pending.set_result(1)
    assert sorted(calls) == ["added", "first", "second"]


def test_many_threads_wait_for_one_answer() -> None:
    """Each gets it; one that waited too short a time leaves nothing behind."""
    pending: PendingAnswer[str] = PendingAnswer()
    with pytest.raises(TimeoutError):
        pending.result(0)
    with pytest.raises(TimeoutError):
        pending.exception(-1)
    assert not pending._callbacks
    found: SimpleQueue[str] = SimpleQueue()
    threads = [threading.Thread(target=lambda: found.put(pending.result(30))) for _ in range(8)]
    for thread in threads:
        thread.start()
    pending.set_result("answer")
    for thread in threads:
        finish(thread)
    assert [found.get_nowait() for _ in threads] == ["answer"] * 8
    assert pending.exception(0) is None


def test_an_error_is_raised_to_everybody_who_asks() -> None:
    """And returned to whoever asks for the error."""
    pending: PendingAnswer[str] = PendingAnswer()
    error = LookupError("no")
    pending.set_exception(error)
    with pytest.raises(LookupError):
        pending.result(0)
    assert pending.exception(0) is error
    with pytest.raises(LookupError):
        as_future(pending).result(0)


def test_a_callback_that_fails_keeps_no_other_from_being_called(caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged; one that asks the thread to end is heard after the others."""
    pending: PendingAnswer[int] = PendingAnswer()
    called: list[object] = []

    def fail(_: object) -> None:
        raise ValueError("a mistake of the caller")

    def leave(_: object) -> None:
        raise SystemExit

    for callback in (fail, leave, called.append):
        pending.add_done_callback(callback)
    with pytest.raises(SystemExit):
        pending.set_result(1)
    assert called == [pending]
    assert "a mistake of the caller" in caplog.text


@pytest.mark.usefixtures("hasty_threads")
def test_what_is_cancelled_is_not_taken_and_what_is_taken_is_not_cancelled() -> None:
    """Callers cancel while the writer takes; the queue is empty afterwards, and every room is free."""
    # given callers that hand in and cancel, each thread for another organization
    queue = Submissions(group_limit=50, queue_limit=100_000)
    streams, taken = count(1), set[Submission]()
    handed: SimpleQueue[tuple[PendingAnswer[object], bool]] = SimpleQueue()

    def call(organization: str) -> None:
        for _ in range(1_000):
            pending: PendingAnswer[object] = queue.put(
                [case(UUID(int=next(streams)))], (), kinds, None, organization
            )
            handed.put((pending, pending.cancel()))

    def take() -> None:
        while (group := queue.take()) is not None:
            taken.update(group.submissions)

    # when one thread takes all the while
    callers = [threading.Thread(target=call, args=(name,)) for name in "abc"]
    taker = threading.Thread(target=take)
    for thread in (taker, *callers):
        thread.start()
    for thread in callers:
        finish(thread)
    queue.close()
    finish(taker)
    # then each one is either taken or cancelled
    assert queue.depth == 0
    for _ in range(3_000):
        pending, was_cancelled = handed.get_nowait()
        assert (pending not in taken) is was_cancelled
        assert pending.cancelled() is was_cancelled


@pytest.mark.usefixtures("hasty_threads")
@pytest.mark.parametrize("callers", [1, 8])
def test_the_writer_wakes_for_every_caller(writer: GroupCommitWriter, callers: int) -> None:
    """Each thread waits before it sends the next, also where nobody else sends: no wake-up is lost."""
    numbers, answers = count(1_000), SimpleQueue[Sequence[object]]()

    def call() -> None:
        for _ in range(400 // callers):
            answers.put(send(writer, case(UUID(int=next(numbers)))).result(20))

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        finish(thread)
    assert [answers.get_nowait() for _ in range(400)] == [["recorded"]] * 400
    assert answers.empty()


def test_a_future_shows_what_the_pending_answer_does(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """Waiting, running, done or cancelled; `wait` and asyncio take it."""
    # given a submission in hand, one that waits and one that is cancelled
    busy = as_future(held(writer, log))
    waiting, cancelled = as_future(send(writer, case(ONE))), as_future(send(writer, case(TWO)))
    assert (busy.running(), busy.cancel(), busy.done()) == (True, False, False)
    assert (waiting.running(), waiting.done()) == (False, False)
    assert cancelled.cancel()
    assert cancelled.cancel()
    # when the writer goes on
    log.open.set()
    # then each is done as its submission is
    done, open_ = wait([busy, waiting, cancelled], timeout=10, return_when=ALL_COMPLETED)
    assert (done, open_) == ({busy, waiting, cancelled}, set())
    assert cancelled.cancelled()
    with pytest.raises(CancelledError):
        cancelled.result(0)
    assert busy.result(0) == waiting.result(0) == ["recorded"]
    assert not waiting.cancel()

    async def ask() -> object:
        return await asyncio.wait_for(asyncio.wrap_future(as_future(send(writer, case(TWO)))), 10)

    assert asyncio.run(ask()) == ["recorded"]


def test_an_answered_submission_holds_no_text(writer: GroupCommitWriter) -> None:
    """Whoever keeps thousands of answers does not keep their signals."""
    pending = send(writer, case(ONE))
    future = as_future(pending)
    assert future.result(10) == ["recorded"]
    assert send(writer, case(TWO)).result(10) == ["recorded"]  # the writer is done with the first by now
    assert isinstance(pending, Submission)
    assert (pending.commands, pending.refusals) == ((), ())
