"""Levels of an assessment, and words for people."""

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple


class Level(StrEnum):
    """The result of a check.

    The value is for programs and never changes.
    """

    UNCHECKED = "unchecked"
    """It could not be checked, or only logs and exit codes show it."""

    WELL = "well"
    ATTENTION = "attention"
    """It works, and somebody should look at it by day."""

    BROKEN = "broken"
    """It does not work, and somebody should look at it now."""


_ORDER: Final = (Level.UNCHECKED, Level.WELL, Level.ATTENTION, Level.BROKEN)


class Assessment(NamedTuple):
    """The assessment of one check.

    Attributes:
        level: The level.
        saw: What was seen.
        advice: What to do next; None if nothing is to be done.
    """

    level: Level
    saw: str
    advice: str | None = None


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of some levels; `WELL` if nothing was checked."""
    return max((Level.WELL, *levels), key=_ORDER.index)


def well(saw: str) -> Assessment:
    """Return that all is well."""
    return Assessment(Level.WELL, saw)


def attention(saw: str, advice: str) -> Assessment:
    """Return that somebody should look at it by day."""
    return Assessment(Level.ATTENTION, saw, advice)


def broken(saw: str, advice: str) -> Assessment:
    """Return that somebody should look at it now."""
    return Assessment(Level.BROKEN, saw, advice)


def unchecked(saw: str) -> Assessment:
    """Return that it could not be checked."""
    return Assessment(Level.UNCHECKED, saw)


_STEPS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def format_period(seconds: float) -> str:
    """Write a length of time for people, in the largest unit of which it has two: `90 min`, `36 h`, `5 d`."""
    for size, unit in _STEPS:
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"


def format_size(size: int) -> str:
    """Write a number of bytes for people, in decimal units: `47.2 MB`."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1_000:  # noqa: PLR2004 - decimal units
            break
        value, unit = value / 1_000, larger
    return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"


def is_over(seconds: float | None, limit: timedelta) -> bool:
    """Return True if a length of time is above a limit, or not known."""
    return seconds is None or seconds > limit.total_seconds()
