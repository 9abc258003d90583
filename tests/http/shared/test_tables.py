"""What workers share: limits and counts in one file."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from offerlog_infrastructure.http.requests.rates import MAX_BUCKETS, TokenBuckets
from offerlog_infrastructure.http.shared.counts import LocalCounts, OpenCounts
from offerlog_infrastructure.http.shared.tables import SharedCounts, WorkerState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a service."""
    return tmp_path


@pytest.fixture
def state(folder: Path) -> Iterator[WorkerState]:
    """The state of worker 1."""
    made = WorkerState(folder, 1, 2)
    yield made
    made.close()


def test_shared_buckets_are_as_those_of_one_process(
    state: WorkerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same calls at the same times give the same answers."""
    # given
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    shared, alone = state.make_buckets("any", 2.0, 5.0, 3.0), TokenBuckets(2.0, 5.0, debt=3.0)
    caller = ("key", "127.0.0.1")
    for step, count in ((0.0, 2), (0.0, 3), (0.1, 1), (0.5, 1), (9.0, 5), (0.0, 1)):
        now += step
        # when
        found = [
            (one.left(caller), one.wait(caller, count), one.take(caller, count)) for one in (shared, alone)
        ]
        # then
        assert found[0] == pytest.approx(found[1])
    for one in (shared, alone):
        one.charge(caller, 100)
    assert shared.left(caller) == alone.left(caller) == -3.0
    assert len(shared) == len(alone) == 1
    assert shared.left("another") == 5.0


def test_buckets_are_bounded(state: WorkerState, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of callers drops buckets that were unused for long, and not the one in use."""
    monkeypatch.setattr("offerlog_infrastructure.http.shared.tables.MAX_BUCKETS", 50)
    assert MAX_BUCKETS == 10_000
    buckets = state.make_buckets("any", 0.001, 5.0)
    for number in range(300):
        buckets.take(f"caller {number}")
        buckets.take("busy", 0.001)
    assert len(buckets) == 50
    assert buckets.left("busy") < 5.0


@pytest.mark.parametrize("kind", ["shared", "alone"])
def test_counts_go_up_and_down(state: WorkerState, kind: str) -> None:
    """One that left as often as it entered is not there."""
    counts: OpenCounts = state.counts("any") if kind == "shared" else LocalCounts()
    assert [counts.enter("a"), counts.enter("a"), counts.enter("b")] == [1, 2, 1]
    counts.leave("a")
    assert (counts.of("a"), counts.of("b"), counts.of("c")) == (1, 1, 0)
    counts.leave("a")
    assert counts.of("a") == 0


def test_what_a_dead_worker_counted_is_gone_with_its_successor(state: WorkerState) -> None:
    """The counts of the others stay."""
    # given
    table = state._table("counts streams")
    mine, theirs = state.counts("streams"), SharedCounts(table, 2)
    assert [mine.enter("key"), theirs.enter("key"), theirs.enter("key")] == [1, 2, 3]
    # when
    successor = SharedCounts(table, 2)
    # then
    assert mine.of("key") == successor.of("key") == 1
