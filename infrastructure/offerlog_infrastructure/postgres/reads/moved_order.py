"""The order of a visitor's events that several shards have recorded, whose positions have none."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from offerlog_application.ports.positions import shard_of_position


class RecordedPlace(NamedTuple):
    """The place of an event, and the time at which it was recorded.

    Attributes:
        position: Its position.
        stream: Its stream.
        version: Its place in the stream.
        recorded_at: The time by the clock of the service; None for an event that cannot be read.
    """

    position: int
    stream: UUID
    version: int
    recorded_at: datetime | None


def is_moved(positions: Sequence[int]) -> bool:
    """Return True if several shards have recorded events at these positions."""
    return len({shard_of_position(one) for one in positions}) > 1


def put_in_order(events: Sequence[RecordedPlace]) -> list[int]:
    """Return the order in which the events of a visitor were recorded, as indexes.

    The events of each shard keep the order of its log, and those of each stream that of their versions. A
    slice lies on one shard at a time, so both fit. Only where they leave a choice, clocks decide.
    """
    logs: dict[int, list[int]] = {}
    for index in sorted(range(len(events)), key=lambda one: events[one].position):
        logs.setdefault(shard_of_position(events[index].position), []).append(index)
    ahead: dict[UUID, list[int]] = {}
    for event in sorted(events, key=lambda one: one.version, reverse=True):
        ahead.setdefault(event.stream, []).append(event.version)
    heads = [iter(log) for log in logs.values()]
    waiting = {place: next(head) for place, head in enumerate(heads)}
    order: list[int] = []
    while waiting:
        due = {
            place: index
            for place, index in waiting.items()
            if ahead[events[index].stream][-1] == events[index].version
        }
        chosen = min(due or waiting, key=lambda place: _order_of_time(events[waiting[place]]))
        index = waiting.pop(chosen)
        order.append(index)
        if ahead[events[index].stream][-1] == events[index].version:
            ahead[events[index].stream].pop()
        else:  # a version is missing or there twice
            ahead[events[index].stream].remove(events[index].version)
        if (following := next(heads[chosen], None)) is not None:
            waiting[chosen] = following
    return order


def _order_of_time(event: RecordedPlace) -> tuple[float, int]:
    """Order by time; an event that cannot be read comes at once."""
    time = 0.0 if event.recorded_at is None else event.recorded_at.timestamp()
    return time, event.position
