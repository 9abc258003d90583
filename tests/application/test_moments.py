"""The moment of a group: what is decided together has one time, that of the decision."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from offerlog_domain.event_fields import Event, RecordedEvent
from support.memory_log import MemoryLog
from support.scenario import minute, signal
from support.writing import ONE, TWO, case, held, other_writer, send


def test_what_is_decided_together_has_one_moment(desk: Any, writer: Any, log: MemoryLog) -> None:
    """However long it has waited: the time of events and refusals, and of signals without their own."""
    # given signals that are handed in at different times while the writer is busy
    held(writer, log)
    first = desk.service.submit([signal("offered", at=None), b"{", signal("completed")], "acme")
    desk.clock.set(minute(2))
    second = desk.service.submit([signal("accepted", at=None), signal("offered", "b", 60)], "acme")
    # when the writer decides them a minute later
    desk.clock.set(minute(3))
    log.open.set()
    # then all of them have that minute
    assert [str(one.kind) for one in first.result(10).outcomes] == ["recorded", "refused", "refused"]
    assert [str(one.kind) for one in second.result(10).outcomes] == ["recorded", "refused"]
    assert [(one.event.recorded_at, one.event.occurred_at) for one in desk.stream()] == [
        (minute(3), minute(3))
    ] * 2
    assert [one.recorded_at for one in desk.log.refused] == [minute(3)] * 3


def test_a_signal_is_too_early_or_too_late_by_the_moment_of_its_decision(
    desk: Any, writer: Any, log: MemoryLog
) -> None:
    """Not by that of its arrival: so a signal that waited is judged as if it had come now."""
    # given a signal that is from the future when it comes, and one from a widget that is just not too old
    held(writer, log)
    early = desk.service.submit([signal("offered", at=6)], "acme")
    age = timedelta(days=8).total_seconds() / 60
    late = desk.service.submit([signal("offered", "b", -age)], "acme", from_widget=True)
    # when both are decided a minute later
    desk.clock.set(minute(1))
    log.open.set()
    # then the first is recorded, and the second is too old
    assert early.result(10).outcomes[0].kind == "recorded"
    assert late.result(10).outcomes[0].reason == "too_old"


def test_what_is_decided_again_has_the_later_moment(desk: Any, writer: Any, log: MemoryLog) -> None:
    """Where another writer was first; what stands keeps the moment at which it was decided."""
    # given another writer that is at one of two visitor-offers first
    streams = (ONE, TWO)

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        log.before_append = len
        other_writer(log, ONE)
        desk.clock.set(minute(5))

    log.before_append = interfere
    # when both are written
    assert send(writer, case(ONE, "accepted"), case(TWO)).result(10) == ["recorded", "recorded"]
    # then the first was decided when the other writer had been there
    assert [log.events_of[stream][-1].event.recorded_at for stream in streams] == [minute(5), minute(0)]


def test_the_moment_does_not_go_back_by_a_minute_or_less(desk: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A clock that was set back is waited for, and the log says so, once."""
    caplog.set_level(logging.WARNING)
    desk.record(signal("offered", at=None))
    # when the clock is set back
    desk.clock.advance(timedelta(minutes=-1))
    desk.record(signal("accepted", at=None))
    desk.clock.advance(timedelta(seconds=59))
    desk.record(signal("started", at=None))
    assert desk.offer("b").by.since == minute(0)
    # then nothing is dated before what was decided earlier, until the clock has passed it
    desk.clock.set(minute(1))
    desk.record(signal("engaged", at=None))
    assert [one.event.recorded_at for one in desk.stream()] == [minute(0)] * 4 + [minute(1)]
    (line,) = caplog.messages
    assert line.startswith("the service's clock was set back by 60 seconds")


def test_a_clock_that_was_far_ahead_is_followed_at_once(desk: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Else everything would bear the wrong time until the service is opened anew."""
    caplog.set_level(logging.WARNING)
    desk.record(signal("offered", at=None))
    # when the clock is set back by more than a minute
    desk.clock.advance(timedelta(seconds=-61))
    desk.record(signal("accepted", at=None))
    # then the moment goes with it, and the log says so
    assert [one.event.recorded_at for one in desk.stream()] == [minute(0), minute(0) - timedelta(seconds=61)]
    (line,) = caplog.messages
    assert line.startswith("the service's clock was set back by 61 seconds: what is decided from now on")
