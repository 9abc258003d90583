"""A writer that nothing ends: what breaks one group off leaves the next its turn, and is counted."""

from collections.abc import Sequence

import pytest

from offerlog_application.ports.event_log import OutcomeUnknownError
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.event_fields import Event, RecordedEvent
from support.memory_log import MemoryLog
from support.writing import ONE, THREE, TWO, case, held, send


def exit_(_: object) -> None:
    """As a callback: ask the thread to end."""
    raise SystemExit


def test_a_callback_that_asks_the_thread_to_end_harms_nobody(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """Those behind it in the same group get their answers, and what is sent later is written."""
    # given a group in which the first caller's callback raises SystemExit
    held(writer, log)
    first, second = send(writer, case(ONE)), send(writer, case(TWO))
    first.add_done_callback(exit_)
    # when it is written
    log.open.set()
    # then everybody is answered, and the writer goes on
    assert first.result(10) == ["recorded"]
    assert second.result(10) == ["recorded"]
    assert send(writer, case(THREE)).result(10) == ["recorded"]
    assert writer.health.alive
    assert writer.health.incidents == 1


def test_callbacks_of_failed_submissions_that_ask_the_thread_to_end_harm_nobody(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """All of a group that failed learn why, and what is sent later is written."""

    def fail(_: Sequence[RecordedEvent[Event]]) -> None:
        log.before_append = len
        raise OutcomeUnknownError("7")

    # given a group of which nobody knows the outcome, and callbacks that raise SystemExit
    held(writer, log)
    first, second = send(writer, case(ONE)), send(writer, case(TWO))
    for one in (first, second):
        one.add_done_callback(exit_)
    log.before_append = lambda _: setattr(log, "before_append", fail)
    # when it is written
    log.open.set()
    # then everybody gets that answer, and the writer goes on
    for one in (first, second):
        with pytest.raises(OutcomeUnknownError, match="transaction 7"):
            one.result(10)
    assert send(writer, case(THREE)).result(10) == ["recorded"]
    assert writer.health.alive


@pytest.mark.parametrize("cause", [SystemExit(), KeyboardInterrupt(), GeneratorExit()])
def test_what_ends_a_group_unforeseen_is_told_its_callers_and_ends_no_other(
    writer: GroupCommitWriter, log: MemoryLog, cause: BaseException
) -> None:
    """They may or may not be stored, so they are told to send again; the writer goes on."""

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        log.before_append = len
        raise cause

    # given an append that ends with something that is no Exception
    log.before_append = interfere
    # when it is called
    broken_off = send(writer, case(ONE))
    # then its caller hears of it, and the writer goes on
    with pytest.raises(OutcomeUnknownError, match="send the same signals again"):
        broken_off.result(10)
    assert send(writer, case(THREE)).result(10) == ["recorded"]
    assert writer.health.alive
    assert writer.health.incidents == 1


def test_health_tells_how_long_a_group_has_been_in_hand(writer: GroupCommitWriter, log: MemoryLog) -> None:
    """While it is written the figure grows; an idle writer shows 0."""
    # given an idle writer, and then one that is held in an append
    assert send(writer, case(TWO)).result(10) == ["recorded"]
    busy = held(writer, log)
    first = writer.health.stalled_seconds
    waiting = send(writer, case(ONE))
    # then the figure grows, until the group is done
    assert 0 < first < writer.health.stalled_seconds
    assert writer.health.waiting == 1
    log.open.set()
    assert busy.result(10) == waiting.result(10) == ["recorded"]
    writer.close()
    assert writer.health.stalled_seconds == 0
    assert not writer.health.alive
