"""Lengths of time as a setting may have them: a number of seconds, or a number with a unit."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

_UNITS: Final = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
"""Seconds in each unit of time that a setting may name."""


def read_seconds(value: object) -> object:
    """Read a number of seconds, or a number with a unit: `900`, `15m`, `1.5 h`, `30d`."""
    if not isinstance(value, str):
        return value
    number = value.strip().rstrip("dhimnsw")
    unit = value.strip().removeprefix(number)
    try:
        return float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        raise ValueError(f"a number of seconds is needed, such as 900 or 15m, not {value!r}") from None


def read_period(value: object) -> object:
    """As `read_seconds`, as a period."""
    try:
        seconds = read_seconds(value)
        return timedelta(seconds=seconds) if isinstance(seconds, float) else seconds
    except OverflowError:
        raise ValueError(f"a number of seconds is needed, such as 900 or 15m, not {value!r}") from None


Period = Annotated[timedelta, BeforeValidator(read_period), Field(ge=timedelta(0), le=timedelta(days=3660))]
"""A setting that is a length of time, up to ten years."""
