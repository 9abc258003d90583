"""The place of a time in a log."""

from collections.abc import Callable
from datetime import datetime


def find_by_time(
    begin: int, end: int, moment: datetime, last_event: Callable[[int], tuple[int, datetime] | None]
) -> int:
    """Return a position of a log up to which the events were recorded by a time.

    The log is searched as if it were sorted by time. Times go by the clocks of writers, so they may step
    back along the log by the difference of two clocks, and by the time that an append takes. Then the
    result lies among the events within that difference around the time: the event at the result was
    recorded by the time, and the next one that was looked at was not.

    Args:
        begin: The position before the first one of the log.
        end: The last one that counts.
        moment: The time.
        last_event: Returns position and time of the last event up to a position; None without one.
    """
    low, high = begin, end
    while low < high:
        middle = (low + high + 1) // 2
        found = last_event(middle)
        if found is None or found[1] <= moment:
            low = middle
        else:
            high = found[0] - 1
    return low
