"""Another writer that hangs: what it holds is set aside together, and nobody else shares the wait."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from uuid import UUID

import pytest

from offerlog_application.ports.event_log import HeldStreams, VersionConflictError
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.event_fields import Event, RecordedEvent
from support.memory_log import MemoryLog
from support.writing import THREE, case, held, send

HUNG = [UUID(int=n) for n in range(1_000, 2_100)]


class HungWriter:
    """Another writer that holds visitor-offers until `lets_go`."""

    def __init__(self, log: MemoryLog, streams: Collection[UUID]) -> None:
        self._log = log
        self._streams = set(streams)
        self.waits = 0
        self.waits_of_many = 0
        log.before_append = self._interfere

    def lets_go(self) -> None:
        """It decides at last, and stores nothing."""
        self._streams.clear()
        self._log.held = set()

    def is_found(self) -> None:
        """Let the log find out what this writer holds."""
        self._log.held = set(self._streams)

    def _interfere(self, events: Sequence[RecordedEvent[Event]]) -> None:
        for event in events:
            if event.originator_id in self._streams:
                self.waits += 1
                self.waits_of_many += len({one.originator_id for one in events}) > 1
                raise VersionConflictError(event.originator_id, waiting=True)


Hang = Callable[[Collection[UUID]], HungWriter]


@pytest.fixture
def hang(writer: GroupCommitWriter, log: MemoryLog) -> Iterator[Hang]:
    """Makes another writer hang; it lets go before the test's own writer is closed."""
    del writer
    made: list[HungWriter] = []

    def make(streams: Collection[UUID]) -> HungWriter:
        made.append(HungWriter(log, streams))
        return made[-1]

    yield make
    for one in made:
        one.lets_go()


def test_all_that_a_hung_writer_holds_costs_a_group_one_wait(
    writer: GroupCommitWriter, log: MemoryLog, hang: Hang
) -> None:
    """More than a thousand conflicts in one group: the others of the group are recorded after the first."""
    # given a group of 1,100 submissions that a hung writer holds, and one that it does not
    held(writer, log)
    hung = hang(HUNG)
    hung.is_found()
    stuck = [send(writer, case(stream)) for stream in HUNG]
    free = send(writer, case(THREE))
    # when it is written
    log.open.set()
    # then the free one waited once, and the thread lives
    assert free.result(10) == ["recorded"]
    assert hung.waits == 1
    assert not any(future.done() for future in stuck)
    assert writer.health.alive
    # and all is recorded when the hung writer lets go
    hung.lets_go()
    assert [future.result(30) for future in stuck] == [["recorded"]] * len(HUNG)
    assert writer.health.incidents == 0


def test_where_nothing_can_be_found_out_a_group_waits_twice_at_most(
    writer: GroupCommitWriter, log: MemoryLog, hang: Hang
) -> None:
    """What is left of it then is tried again in smaller and smaller rounds, until the free ones are apart."""
    # given a hung writer, and a log that cannot find out what it holds
    held(writer, log)
    hung = hang(HUNG[:60])
    stuck = [send(writer, case(stream)) for stream in HUNG[:60]]
    free = send(writer, case(THREE))
    # when the group is written
    log.open.set()
    # then it waits twice, fresh signals get through, and the free one is found in the end
    assert send(writer, case(UUID(int=5_000))).result(10) == ["recorded"]
    # (one visitor-offer that is tried again alone needs no look)
    assert hung.waits_of_many <= 2 + 2 * len(log.looks)
    assert free.result(20) == ["recorded"]
    assert not any(future.done() for future in stuck)
    hung.lets_go()
    assert [future.result(30) for future in stuck] == [["recorded"]] * 60


def test_fresh_submissions_share_no_group_with_those_set_aside(
    writer: GroupCommitWriter, log: MemoryLog, hang: Hang
) -> None:
    """What is tried again meets the hung writer again; no fresh submission is in that append."""
    hung = hang(HUNG[:3])
    hung.is_found()
    stuck = [send(writer, case(stream)) for stream in HUNG[:3]]
    while len(writer._submissions.aside) < 3:
        assert not stuck[-1].done()
    meets = log.before_append
    together: list[Sequence[RecordedEvent[Event]]] = []

    def look(events: Sequence[RecordedEvent[Event]]) -> None:
        streams = {event.originator_id for event in events}
        if streams & set(HUNG) and streams - set(HUNG):
            together.append(events)
        meets(events)

    log.before_append = look
    for n in range(50):
        assert send(writer, case(UUID(int=5_000 + n))).result(10) == ["recorded"]
    hung.lets_go()
    assert [future.result(10) for future in stuck] == [["recorded"]] * 3
    assert not together


def test_what_was_not_looked_at_in_time_is_tried_again_at_once(
    writer: GroupCommitWriter, log: MemoryLog, hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One held visitor-offer after the other is met, until the free submission gets through."""

    # given a log for which time is always up before the first visitor-offer
    def find_held(versions: Mapping[UUID, int], seconds: float, *, urgent: bool) -> HeldStreams:
        del seconds, urgent
        return HeldStreams(unknown=frozenset(versions))

    monkeypatch.setattr(log, "find_held", find_held)
    hung = hang(HUNG[:20])
    # when a group meets a hung writer
    held(writer, log)
    stuck = [send(writer, case(stream)) for stream in HUNG[:20]]
    free = send(writer, case(THREE))
    log.open.set()
    # then the free one is recorded while the others wait
    assert free.result(10) == ["recorded"]
    assert not any(future.done() for future in stuck)
    hung.lets_go()
    assert [future.result(30) for future in stuck] == [["recorded"]] * 20
