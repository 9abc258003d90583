"""The times of a policy as people write them: by state, seconds or a number with a unit."""

from collections.abc import Mapping
from datetime import timedelta

from offerlog_domain.errors import ArgumentError
from offerlog_infrastructure.durations import read_period


def read_suppression_times(texts: Mapping[str, str | int]) -> dict[str, timedelta]:
    """Read the times of a policy, by the names of states.

    Raises:
        ArgumentError: A time cannot be read.
    """
    times: dict[str, timedelta] = {}
    for state, text in texts.items():
        try:
            period = read_period(str(text))
        except ValueError as error:
            raise ArgumentError("suppress_for", f"{state}: {error}") from None
        assert isinstance(period, timedelta)  # noqa: S101 - of a text, it is one
        times[state] = period
    return times
