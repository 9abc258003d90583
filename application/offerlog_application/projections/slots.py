"""Quarter-hours of UTC, in which events are counted.

A *slot* is the number of whole quarter-hours (900 s) of UTC since 1970-01-01T00:00Z. All offsets in use today
are multiples of a quarter-hour (Asia/Kathmandu has +05:45). So hours, days and months of any zone are whole
slots.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

SLOT_SECONDS: Final = 900
"""Seconds of a slot."""

DAY_SLOTS: Final = 96
"""Slots of a day of UTC."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SLOT: Final = timedelta(seconds=SLOT_SECONDS)
_FIRST_SLOT: Final = (datetime(2, 1, 1, tzinfo=UTC) - _EPOCH) // _SLOT
_LAST_SLOT: Final = (datetime(9998, 12, 31, tzinfo=UTC) - _EPOCH) // _SLOT


def slot(instant: datetime) -> int:
    """Return the slot that holds an aware instant: the quarter-hours of UTC since 1970, rounded down.

    Raises:
        TypeError: The instant is naive.
    """
    return (instant - _EPOCH) // _SLOT


def counted_slot(instant: datetime) -> int:
    """Return the slot in which an event is counted: the slot that holds its time.

    An event that a wrong clock dates in the year 1 counts at the beginning of the year 2, and one of the year
    9999 at the end of 9998. Near the ends of the calendar, a zone does not have a wall time.
    """
    held = (instant - _EPOCH) // _SLOT
    return held if _FIRST_SLOT <= held <= _LAST_SLOT else min(max(held, _FIRST_SLOT), _LAST_SLOT)


def at_slot(slot: int) -> datetime:
    """Return the first instant of a slot, in UTC."""
    return _EPOCH + slot * _SLOT


def join_spans(parts: Iterable[tuple[int, int]], gap_days: int) -> list[tuple[int, int]]:
    """Join parts of time, given in slots and ascending, that lie at most `gap_days` days apart."""
    spans: list[tuple[int, int]] = []
    for start, end in parts:
        if spans and start // DAY_SLOTS - (spans[-1][1] - 1) // DAY_SLOTS <= gap_days:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans
