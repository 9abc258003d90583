"""Organizations share the writer: whoever floods it waits, and nobody else does."""

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.recording.fair_queue import FairQueue
from offerlog_application.recording.signal_text import SignalText
from offerlog_application.recording.submission import Submission, UndatedRefusal
from offerlog_application.recording.submissions import Group, OverloadedError, Submissions
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.outcomes import Reason
from support.memory_log import MemoryLog
from support.scenario import RAW, native_signal, offer_key
from support.writing import Answers, Counted, case, held, kinds, make_writer, send

streams = (UUID(int=n) for n in count(1_000))


def some(number: int) -> list[Counted]:
    """Cases of as many different visitor-offers."""
    return [case(next(streams)) for _ in range(number)]


@contextmanager
def small_writer(log: MemoryLog, **limits: Any) -> Iterator[GroupCommitWriter]:
    """A writer with limits of a test's own, closed at the end."""
    writer = make_writer(log, **limits)
    try:
        yield writer
    finally:
        log.open.set()
        writer.close()


def append_of(log: MemoryLog, future: Answers) -> list[int]:
    """Gets the number of the append after which the future is done."""
    seen: list[int] = []
    future.add_done_callback(lambda _: seen.append(len(log.appends)))
    return seen


@pytest.mark.parametrize(("requests", "size"), [(8, 1_000), (60, 100), (3_000, 1)])
def test_a_flood_of_one_organization_costs_another_one_group(
    writer: GroupCommitWriter, log: MemoryLog, requests: int, size: int
) -> None:
    """However much waits, another organization's signal is in the next group, and that group is small."""
    # given a writer that is busy with one case, and a flood behind it
    held(writer, log)
    flood = [send(writer, *some(size)) for _ in range(requests)]
    # when somebody else sends one signal, and the writer goes on
    other = send(writer, *some(1), organization="other")
    order = append_of(log, other)
    log.open.set()
    # then it is in the group right behind the one in hand
    assert other.result(10) == ["recorded"]
    assert order == [2]
    assert log.appends[1][0] <= 1_000
    assert not flood[-1].done()


def test_refused_lines_of_one_organization_wait_like_its_cases(
    writer: GroupCommitWriter, log: MemoryLog
) -> None:
    """What is refused without asking a visitor-offer costs the store a row all the same."""
    held(writer, log)
    refusals = [UndatedRefusal(Reason.MALFORMED, None, "x", b"{")] * 1_000
    flood = [writer.submit([], refusals, kinds, organization="acme") for _ in range(30)]
    other = send(writer, *some(1), organization="other")
    order = append_of(log, other)
    log.open.set()
    assert other.result(10) == ["recorded"]
    assert order == [2]
    assert log.appends[1][1] <= 1_000
    assert [future.result(10) for future in flood] == [[]] * 30


def test_organizations_share_a_group_by_what_they_ask_for(log: MemoryLog) -> None:
    """One that sends large batches gets as many cases in as one that sends small ones."""
    with small_writer(log, group_limit=40) as writer:
        held(writer, log)
        large = [send(writer, *some(10), organization="large") for _ in range(10)]
        small = [send(writer, *some(1), organization="small") for _ in range(100)]
        seen = append_of(log, large[4]), append_of(log, small[49])
        log.open.set()
        assert large[-1].result(10) == ["recorded"] * 10
        assert small[-1].result(10) == ["recorded"]
    assert abs(seen[0][0] - seen[1][0]) <= 1


def test_within_an_organization_order_is_kept(log: MemoryLog) -> None:
    """First come, first served, however organizations alternate."""
    with small_writer(log, group_limit=5) as writer:
        held(writer, log)
        done: list[tuple[str, int]] = []

        def note(key: tuple[str, int], _: object) -> None:
            done.append(key)

        for n in range(20):
            for organization in "abc":
                future = send(writer, *some(1 + n % 3), organization=organization)
                future.add_done_callback(partial(note, (organization, n)))
        last = send(writer, organization="c")
        log.open.set()
        assert last.result(10) == []
    for organization in "abc":
        assert [n for key, n in done if key == organization] == list(range(20))


def test_who_fills_the_queue_is_turned_away_and_nobody_else(log: MemoryLog) -> None:
    """A flooder's share is bounded, and others still find room."""
    with small_writer(log, queue_limit=100) as writer:
        held(writer, log)
        # given organizations that flood, one after the other
        for flooder in ("one", "two", "three"):
            room = 0
            with suppress(OverloadedError):
                while room < 1_000:
                    send(writer, *some(1), organization=flooder)
                    room += 1
            assert room < 1_000
        # then there is room for somebody else, also for a large batch, and all of it stays bounded
        send(writer, *some(20), organization="four")
        send(writer, *some(150), organization="five")
        assert writer.depth < 2 * 100 + 150
        with pytest.raises(OverloadedError):
            send(writer, *some(1), organization="five")


def test_one_organization_alone_may_fill_the_queue(log: MemoryLog) -> None:
    """Its limit is what the documentation says as long as nobody else waits."""
    with small_writer(log, queue_limit=100) as writer:
        held(writer, log)
        for _ in range(100):
            send(writer, *some(1))
        with pytest.raises(OverloadedError):
            send(writer, *some(1))


def test_a_cancelled_submission_gives_its_room_back_at_once(log: MemoryLog) -> None:
    """A client that has left does not keep others out, and its texts are let go of."""
    with small_writer(log, queue_limit=10) as writer:
        held(writer, log)
        waiting = [send(writer, *some(5)) for _ in range(2)]
        with pytest.raises(OverloadedError):
            send(writer, *some(1))
        assert waiting[0].cancel()
        assert waiting[0].cancel()
        assert writer.depth == 5
        late = send(writer, *some(5))
        log.open.set()
        assert waiting[1].result(10) == late.result(10) == ["recorded"] * 5
        with pytest.raises(CancelledError):
            waiting[0].result(10)
        assert writer.depth == 0


def submission(weight: int, organization: str = "acme", number: int = 0, raw: bytes = RAW) -> Submission:
    """A submission of as many cases."""
    offers = [offer_key(next(streams)) for _ in range(weight)]
    cases = [Counted(offer, native_signal("offered"), SignalText(raw)) for offer in offers]
    return Submission(cases, (), kinds, None, organization, number=number)


def test_room_is_given_back_also_where_the_writer_takes_what_is_being_cancelled() -> None:
    """A cancellation and the writer's start may meet; the room is given back once."""
    # given a submission that the writer would take in the middle of its cancellation
    queue = Submissions(group_limit=10, queue_limit=10)
    cancelled = queue.put(some(5), (), kinds, None, "acme")
    other = queue.put(some(2), (), kinds, None, "acme")
    taken: list[Group | None] = []
    cancelled.add_done_callback(lambda _: taken.append(queue.take()))
    # when its caller cancels it
    assert cancelled.cancel()
    # then it is not written, and its room is free
    assert [group.submissions for group in taken if group] == [[other]]
    assert queue.depth == 0


def test_long_texts_weigh_by_the_kibibyte() -> None:
    """The queue is bounded in bytes as well."""
    assert submission(3).weight == 3
    assert submission(3, raw=b"x" * 64 * 1_024).weight == 3 * 64


def pop(queue: FairQueue[Submission]) -> Submission:
    """Take the entry that is next."""
    entries = queue.next_line()
    assert entries
    entry = entries.popleft()
    queue.end_turn(entry.weight)
    return entry


def test_an_organization_that_was_away_saves_up_no_turns() -> None:
    """Nor does it wait behind what others were served meanwhile."""
    queue: FairQueue[Submission] = FairQueue()
    for n in range(10):
        queue.put(submission(10, "flood", n))
    for _ in range(5):
        pop(queue)
    for n in range(10):
        queue.put(submission(10, "late", n))
    taken = [pop(queue).organization for _ in range(10)]
    assert taken.count("late") == 5
    assert "late" in taken[:2]


def test_after_a_slow_group_the_next_ones_are_smaller(log: MemoryLog) -> None:
    """One whose cases cost much processor time must not hold the writer for long."""
    del log
    queue = Submissions(group_limit=5_000, queue_limit=100_000)
    for _ in range(60):
        queue.put(some(100), (), kinds, None, "acme")
    slow = queue.take()
    assert slow is not None
    assert sum(one.weight for one in slow.submissions) == 5_000
    # when it takes two seconds of the processor
    queue.note_group(slow, 3.0, 2.0, met_others=False)
    # then the next holds a tenth of its cases, and later ones grow again
    small = queue.take()
    assert small is not None
    assert sum(one.weight for one in small.submissions) == 500
    queue.note_group(small, 0.1, 0.05, met_others=False)
    for _ in range(60):
        queue.put(some(100), (), kinds, None, "acme")
    larger = queue.take()
    assert larger is not None
    assert sum(one.weight for one in larger.submissions) == 1_000
    queue.close()
    while isinstance(queue.take(), Group):
        pass
    with pytest.raises(ClosedError):
        queue.put([], (), kinds, None, "acme")
