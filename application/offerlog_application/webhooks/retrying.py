"""Times of further attempts: the schedule that the Standard Webhooks specification gives as an example."""

from datetime import datetime, timedelta
from typing import Final

RETRY_SECONDS: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds from each failed attempt to the next one; after the last of them, the event is given up."""

MOST_ATTEMPTS: Final = len(RETRY_SECONDS) + 1

GIVE_UP_AFTER: Final = timedelta(days=5)
"""An endpoint for which every attempt has failed for so long is disabled."""

_JITTER: Final = 0.2
"""A delay is longer by up to this part, so that many events that failed together are not sent together."""

_LONGEST_WAIT_SECONDS: Final = 86_400.0
"""The longest time that a receiver may ask for."""

_RESTING_FROM: Final = 3
"""An endpoint rests from so many failures in a row on."""

_FIRST_REST_SECONDS: Final = 5.0
_LONGEST_REST_SECONDS: Final = 300.0

_MOST_DOUBLINGS: Final = 10


def next_attempt_at(
    attempts: int, now: datetime, retry_after: float | None, chance: float
) -> datetime | None:
    """Return the time of the attempt after one that failed; None if it was the last one.

    Args:
        attempts: Number of attempts so far, from 1.
        now: The present.
        retry_after: Seconds that the receiver asks to wait; None if it does not.
        chance: A random number from 0 to 1.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    delay = RETRY_SECONDS[attempts - 1] * (1 + _JITTER * chance)
    return now + timedelta(seconds=max(delay, _cut(retry_after)))


def resting_until(failures: int, now: datetime, retry_after: float | None) -> datetime | None:
    """Return the time up to which an endpoint rests; None if it need not.

    A receiver that is down is asked less and less often, so that few events fail while it is.

    Args:
        failures: Number of failures in a row, from 1.
        now: The present.
        retry_after: Seconds for which the receiver asks not to get anything; None if it does not.
    """
    rest = _cut(retry_after)
    if failures >= _RESTING_FROM:
        doublings = min(failures - _RESTING_FROM, _MOST_DOUBLINGS)
        rest = max(rest, min(_FIRST_REST_SECONDS * 2**doublings, _LONGEST_REST_SECONDS))
    return now + timedelta(seconds=rest) if rest > 0 else None


def _cut(retry_after: float | None) -> float:
    return 0.0 if retry_after is None else min(max(retry_after, 0.0), _LONGEST_WAIT_SECONDS)
