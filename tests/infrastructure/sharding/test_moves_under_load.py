"""Slices that move while writers write and reports are asked for: nothing is lost, doubled or misplaced."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, Final

from offerlog import Offerlog, ReportQuery
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from support.installations import Stores, compare_answers, move_slice, visitors_of_slice
from support.journeys import JOURNEYS, an_id, signal

_WRITERS: Final = 3
_MOVES: Final = ((3, 1), (9, 2), (3, 0))
"""A slice, and the shard that gets it."""


class _Writer:
    """Records the journeys of visitors of its own, one signal after the other.

    Attributes:
        recorded: Each signal with its outcome, in order.
    """

    def __init__(self, service: ShardedOfferlog, visitors: Iterator[int], stopping: threading.Event) -> None:
        self.recorded: list[tuple[dict[str, Any], Sequence[object]]] = []
        self._service = service
        self._visitors = visitors
        self._stopping = stopping

    def run(self) -> None:
        for visitor in self._visitors:
            for action, state in JOURNEYS[visitor % len(JOURNEYS)]:
                line = signal(state, visitor=visitor, action=action, actionMapId=an_id("map", visitor % 3))
                receipt = self._service.record([line])
                self.recorded.append((line, receipt.outcomes))
            if self._stopping.is_set():
                return


def _watch(service: ShardedOfferlog, stopping: threading.Event) -> list[int]:
    """Ask for reports; returns how many offers each has."""
    found: list[int] = []
    while not stopping.is_set():
        rows = service.report(ReportQuery("default")).rows
        found.append(sum(row.metrics["nWebActionsOffered"] for row in rows))
    return found


def _rounds(recorded: Iterable[tuple[dict[str, Any], Sequence[object]]]) -> list[list[Any]]:
    """The first signals of all visitors, then the second ones, and so on: in a batch, they may differ."""
    rounds: list[list[Any]] = []
    seen: Counter[str] = Counter()
    for line, outcomes in recorded:
        place = seen[line["customerId"]]
        seen[line["customerId"]] += 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append((line, outcomes))
    return rounds


def test_slices_move_under_load(services: tuple[ShardedOfferlog, Offerlog], stores: Stores) -> None:
    """Every outcome is that of a single store, reports never go back, and repeats are recognised."""
    sharded, single = services
    stopping, numbers = threading.Event(), count()
    writers = [_Writer(sharded, numbers, stopping) for _ in range(_WRITERS)]
    with ThreadPoolExecutor(_WRITERS + 1) as pool:
        work = [pool.submit(writer.run) for writer in writers]
        watched = pool.submit(_watch, sharded, stopping)
        try:
            moved = [move_slice(stores, number, shard) for number, shard in _MOVES]
        finally:
            stopping.set()
        for one in work:
            one.result(120)
        reported = watched.result(120)
    # then
    visitors = next(numbers)
    for some in _rounds(pair for writer in writers for pair in writer.recorded):
        expected = single.record([line for line, _ in some]).outcomes
        assert [outcome for _, outcomes in some for outcome in outcomes] == [*expected]
    assert reported == sorted(reported)
    assert sum(one.events for one in moved)
    assert visitors_of_slice(sharded, 3, visitors)
    for service in services:
        service.catch_up()
    compare_answers(sharded, single, visitors)
    for writer in writers:
        lines = [line for line, _ in writer.recorded]
        assert sharded.record(lines).outcomes == single.record(lines).outcomes
    assert not any(proof.differences for proof in sharded.verify())
