"""The calendar of reports: it cuts time into hours, days, weeks and months by the clocks of any zone.

It is pure. It is exact to a quarter of an hour in all zones of the IANA database. It looks up a zone's offset
once a day. If the offset has changed, it finds the shift of the clocks by halving that day. Between shifts,
the cutting is integer arithmetic. The rules are in docs/command-line.md under "report".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from offerlog_application.projections.slots import DAY_SLOTS, SLOT_SECONDS, at_slot
from offerlog_application.reading.instants import offset_at, shift_after
from offerlog_domain.metrics import Granularity


@dataclass(frozen=True, slots=True)
class Bucket:
    """A period of one report row.

    Attributes:
        first: Its first slot, not before the interval of the report.
        end: The slot after its last, not after the end of that interval.
        label: The first instant of the *full* hour, day, week or month, in the zone with offset
            (`2026-03-29T00:00:00+00:00`); None for the total. Periods with the same label are one row.
    """

    first: int
    end: int
    label: str | None


_SECOND: Final = timedelta(seconds=1)
_DAY: Final = 86_400
_EPOCH_DAY: Final = date(1970, 1, 1)
_WALL_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock has no zone; its offset is written after it

# Length in seconds, and the seconds of such a unit before 1970-01-01: a Thursday is three days after Monday.
_UNITS: Final = {
    Granularity.HOUR: (3_600, 0),
    Granularity.DAY: (_DAY, 0),
    Granularity.WEEK: (7 * _DAY, 3 * _DAY),
}

# The shortest time between two shifts of any zone's clocks is four days (Africa/Freetown, 1939). So one look
# a day misses no shift. A test checks that the installed database has at least two days, which is enough.
_LOOK_SLOTS: Final = DAY_SLOTS

# No clocks were ever shifted by more than a day (Pacific/Kwajalein, 1993). Twice that is safe.
_FARTHEST_SHIFT_SLOTS: Final = 2 * DAY_SLOTS

_HOUR_SLOTS: Final = 4

# Clocks that are set back by a day repeat at most three days. Hours never repeat: they are split by offset.
_REMEMBERED_UNITS: Final = 4


def buckets(first: int, end: int, zone: ZoneInfo, by: Granularity) -> Iterator[Bucket]:
    """Cut the slots [first, end) into contiguous, ascending buckets that cover them exactly.

    A slot belongs to the unit that holds the wall time of its first instant. An hour is also split by UTC
    offset. Neighbours have different labels. A label is repeated if the clocks went back over the start of a
    unit (America/St_Johns until 2011, at 00:01). The total is one bucket. An empty interval has no bucket.

    Args:
        first: The first slot, in the years 2 to 9998.
        end: The slot after the last, in the same years.
        zone: The zone whose clocks count.
        by: The unit; weeks start on Monday.
    """
    if first >= end:
        return
    if by is Granularity.TOTAL:
        yield Bucket(first, end, None)
        return
    began, current = first, ""
    for start, label in _units(_early_enough(first, zone, by), end, zone, by):
        if label == current:
            continue
        if start > first:
            yield Bucket(began, start, current)
            began = start
        current = label
    yield Bucket(began, end, current)


def _units(first: int, end: int, zone: ZoneInfo, by: Granularity) -> Iterator[tuple[int, str]]:
    """Yield the slot at which each unit begins, or continues after a shift of the clocks, and its label.

    A label is right only for a unit that begins at or after `first`.
    """
    labels: dict[tuple[int, int], str] = {}
    for run, stop, offset in _runs(first, end, zone):
        suffix = at_slot(run).astimezone(zone).isoformat()[len("1970-01-01T00:00:00") :]
        split = offset if by is Granularity.HOUR else 0
        start = run
        while start < stop:
            wall = start * SLOT_SECONDS + offset
            unit, following = _span(wall, by)
            label = labels.get((unit, split))
            if label is None:
                label = (_WALL_EPOCH + wall * _SECOND).isoformat() + suffix
                labels[unit, split] = label
                if len(labels) > _REMEMBERED_UNITS:
                    del labels[next(iter(labels))]
            yield start, label
            start = -((offset - following) // SLOT_SECONDS)  # rounded up


def _runs(first: int, end: int, zone: ZoneInfo) -> Iterator[tuple[int, int, int]]:
    """Cut [first, end) where the clocks shift: yield first slot, slot after the last, offset in seconds."""
    run = seen = first
    offset = offset_at(run * SLOT_SECONDS, zone)
    while seen < end:
        look = min(seen + _LOOK_SLOTS, end)
        if offset_at(look * SLOT_SECONDS, zone) != offset:
            shift = shift_after(seen * SLOT_SECONDS, look * SLOT_SECONDS, zone)
            look = -(-shift // SLOT_SECONDS)  # rounded up: the slot of the shift began before it
            yield run, look, offset
            run, offset = look, offset_at(look * SLOT_SECONDS, zone)
        seen = look
    yield run, end, offset  # empty if the clocks shift at the very end


def _span(wall: int, by: Granularity) -> tuple[int, int]:
    """Return beginning and end of the unit that holds a wall time, all in wall-clock seconds since 1970."""
    if by is Granularity.MONTH:
        begins = (_EPOCH_DAY + timedelta(days=wall // _DAY)).replace(day=1)
        ends = (begins + timedelta(days=31)).replace(day=1)
        return (begins - _EPOCH_DAY).days * _DAY, (ends - _EPOCH_DAY).days * _DAY
    length, phase = _UNITS[by]
    begin = wall - (wall + phase) % length
    return begin, begin + length


def _early_enough(first: int, zone: ZoneInfo, by: Granularity) -> int:
    """Return a slot before all units that have an instant at or after `first`, however the clocks shift."""
    # An hour is also split at a shift of the clocks, so no shift moves its beginning farther away.
    margin = _HOUR_SLOTS if by is Granularity.HOUR else _FARTHEST_SHIFT_SLOTS
    earlier = first - margin
    offset = offset_at(earlier * SLOT_SECONDS, zone)
    begin, _ = _span(earlier * SLOT_SECONDS + offset, by)
    return (begin - offset) // SLOT_SECONDS - margin
