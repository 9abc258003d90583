"""The difference of two rates, and its 95 % interval.

A rate is a share: of so many trials (`whole`), so many succeeded (`part`). The interval of one share is the
score interval of E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
The interval of a difference is method 10 of R. G. Newcombe, "Interval estimation for the difference between
independent proportions: comparison of eleven methods" (Statistics in Medicine 17, 1998). It puts the limits
of two score intervals together, needs no large numbers, holds for 0 and 100 %, and stays within -1 and 1.
"""

from math import sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

_Z: Final = NormalDist().inv_cdf(0.975)
"""The normal quantile that leaves 2.5 % on either side."""


class Share(NamedTuple):
    """A number of trials, and how many of them succeeded.

    Attributes:
        part: Number of successes, from 0 to `whole`.
        whole: Number of trials.
    """

    part: int
    whole: int


class RateDifference(NamedTuple):
    """The difference of two rates, as fractions of 1, with its 95 % interval.

    Attributes:
        difference: The rate less that of the baseline.
        low: The lower limit of the interval.
        high: The upper limit of the interval.
    """

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """True if chance alone hardly explains the difference: the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


def wilson_interval(share: Share) -> tuple[float, float]:
    """Return the 95 % score interval of one share.

    Raises:
        ValueError: There is no trial, or there are more successes than trials.
    """
    part, whole = share
    if not 0 <= part <= whole or not whole:
        raise ValueError(f"{part} of {whole} is not a share")
    square = _Z * _Z
    centre = 2 * part + square
    spread = _Z * sqrt(square + 4 * part * (whole - part) / whole)
    low, high = ((centre + sign * spread) / (2 * (whole + square)) for sign in (-1, 1))
    return (low if part else 0.0), (high if part < whole else 1.0)  # exact, whatever rounding does


def rate_difference(share: Share, baseline: Share) -> RateDifference | None:
    """Return a rate less that of a baseline, with the 95 % interval of the difference.

    The two are taken as independent.

    Returns:
        None where one of them is not a share: without a trial, or with more successes than trials.
    """
    if any(not 0 <= part <= whole or not whole for part, whole in (share, baseline)):
        return None
    rate, other = (part / whole for part, whole in (share, baseline))
    (low, high), (other_low, other_high) = wilson_interval(share), wilson_interval(baseline)
    difference = rate - other
    below = sqrt((rate - low) ** 2 + (other_high - other) ** 2)
    above = sqrt((high - rate) ** 2 + (other - other_low) ** 2)
    return RateDifference(difference, max(difference - below, -1.0), min(difference + above, 1.0))
