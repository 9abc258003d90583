"""Reports' calendar against a model that takes each slot on its own, in every zone of the world."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import example, given, settings
from hypothesis import strategies as st

from offerlog_application.projections.slots import at_slot, slot
from offerlog_application.reading.calendar import Bucket, buckets
from offerlog_application.reading.instants import instant, zone
from offerlog_domain.metrics import Granularity

TOTAL, HOUR, DAY, WEEK, MONTH = Granularity
DAY_SLOTS = 96
NAMES = sorted(available_timezones() - {"localtime"})


def unit(local: datetime, by: Granularity) -> object:
    """Return what tells the unit of a local time from every other."""
    match by:
        case Granularity.HOUR:
            return local.date(), local.hour, local.utcoffset()
        case Granularity.DAY:
            return local.date()
        case Granularity.WEEK:
            return local.date() - timedelta(days=local.weekday())
        case Granularity.MONTH:
            return local.year, local.month
        case Granularity.TOTAL:
            return None


def model(first: int, end: int, there: ZoneInfo, by: Granularity) -> list[Bucket]:
    """Return the buckets by asking every slot for its unit, from before the oldest one that counts."""
    before = {HOUR: 2, DAY: 4, WEEK: 10, MONTH: 35, TOTAL: 0}[by] * DAY_SLOTS
    labels: dict[object, str] = {}
    units: list[tuple[object, int]] = []
    for each in range(first - before, end):
        local = at_slot(each).astimezone(there)
        key = unit(local, by)
        labels.setdefault(key, local.isoformat(timespec="seconds"))
        if each >= first:
            units.append((key, each))
    stretches = [(key, [each for _, each in group]) for key, group in groupby(units, lambda pair: pair[0])]
    return [Bucket(slots[0], slots[-1] + 1, None if by is TOTAL else labels[key]) for key, slots in stretches]


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    first=st.integers(slot(datetime(1850, 1, 1, tzinfo=UTC)), slot(datetime(2100, 1, 1, tzinfo=UTC))),
    length=st.integers(1, 60 * DAY_SLOTS),
    by=st.sampled_from(Granularity),
)
@example("America/St_Johns", slot(datetime(2009, 11, 1, 2, 30, tzinfo=UTC)), 2, MONTH)
@example("America/St_Johns", slot(datetime(2010, 3, 10, tzinfo=UTC)), 1000, HOUR)
@example("Australia/Lord_Howe", slot(datetime(2026, 4, 4, 14, 45, tzinfo=UTC)), 9, HOUR)
@example("Pacific/Kwajalein", slot(datetime(1993, 8, 20, tzinfo=UTC)), 300, DAY)
@example("America/Anchorage", slot(datetime(1867, 10, 18, 9, tzinfo=UTC)), 300, DAY)
@example("Asia/Manila", slot(datetime(1844, 12, 28, tzinfo=UTC)), 500, WEEK)
def test_buckets_are_those_of_the_model(name: str, first: int, length: int, by: Granularity) -> None:
    """In any zone, any interval is covered exactly, and each slot lies under its own unit's label."""
    assert list(buckets(first, first + length, zone(name), by)) == model(
        first, first + length, zone(name), by
    )


@given(
    name=st.sampled_from(NAMES),
    first=st.integers(slot(datetime(1850, 1, 1, tzinfo=UTC)), slot(datetime(2100, 1, 1, tzinfo=UTC))),
    by=st.sampled_from([HOUR, DAY, WEEK, MONTH]),
)
def test_a_label_can_be_asked_from(name: str, first: int, by: Granularity) -> None:
    """A label read as `from` is the first instant of its bucket: a report's row can be asked for again."""
    (bucket,) = buckets(first, first + 1, zone(name), by)
    assert bucket.label is not None
    start = slot(instant(bucket.label, zone("UTC"), "from"))
    assert start <= first
    assert next(buckets(start, first + 1, zone(name), by)).first == start
    assert next(buckets(start, first + 1, zone(name), by)).label == bucket.label


def shifts(name: str) -> Iterator[int]:
    """Yield the POSIX times at which the database (RFC 9636, 64-bit block) shifts a zone's clocks."""
    data = files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    utcs, stds, leaps, times, types, chars = struct.unpack_from(">6l", data, 20)
    block = 44 + times * 5 + types * 6 + chars + leaps * 8 + stds + utcs
    times, types = struct.unpack_from(">2l", data, block + 32)
    at = struct.unpack_from(f">{times}q", data, block + 44)
    kinds = struct.unpack_from(f">{times}B", data, block + 44 + times * 8)
    offsets = [struct.unpack_from(">l", data, block + 44 + times * 9 + kind * 6)[0] for kind in range(types)]
    for moment, old, new in zip(at, (0, *kinds), kinds, strict=False):
        if offsets[old] != offsets[new]:
            yield moment


def test_no_clocks_shift_twice_within_two_days() -> None:
    """The calendar looks at a zone's offset once a day, which is exact only as long as this is true."""
    gaps = [(later - sooner, name) for name in NAMES for sooner, later in pairwise(shifts(name))]
    assert len(gaps) > 10_000
    assert min(gaps) >= (2 * 86_400, "")
