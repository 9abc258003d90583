"""The interval of a difference of two rates: published examples, and how often it holds the truth."""

import random
from itertools import product

import pytest

from offerlog_domain.rate_differences import RateDifference, Share, rate_difference, wilson_interval


@pytest.mark.parametrize(
    ("share", "low", "high"),
    [
        (Share(81, 263), 0.2553, 0.3662),
        (Share(15, 148), 0.0624, 0.1605),
        (Share(0, 20), 0.0, 0.1611),
        (Share(1, 29), 0.0061, 0.1718),
    ],
)
def test_the_interval_of_a_share_is_as_published(share: Share, low: float, high: float) -> None:
    """The four examples of Newcombe's comparison of seven methods, method 3, to four digits."""
    assert wilson_interval(share) == pytest.approx((low, high), abs=0.00005)


@pytest.mark.parametrize(
    ("share", "baseline", "low", "high"),
    [
        (Share(56, 70), Share(48, 80), 0.0524, 0.3339),
        (Share(9, 10), Share(3, 10), 0.1705, 0.8090),
        (Share(6, 7), Share(2, 7), 0.0582, 0.8062),
        (Share(5, 56), Share(0, 29), -0.0381, 0.1926),
        (Share(0, 10), Share(0, 20), -0.1611, 0.2775),
        (Share(0, 10), Share(0, 10), -0.2775, 0.2775),
        (Share(10, 10), Share(0, 20), 0.6791, 1.0),
        (Share(10, 10), Share(0, 10), 0.6075, 1.0),
    ],
)
def test_the_interval_of_a_difference_is_as_published(
    share: Share, baseline: Share, low: float, high: float
) -> None:
    """The eight examples of Newcombe's comparison of eleven methods, method 10, to four digits."""
    found = rate_difference(share, baseline)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.00005)
    assert found.difference == share.part / share.whole - baseline.part / baseline.whole
    assert found.excludes_zero == (low > 0)


def test_a_difference_turned_round_has_the_interval_turned_round() -> None:
    """And it always holds the difference, and nothing outside -1 to 1."""
    shares = [
        Share(part, whole) for whole in (1, 2, 7, 400) for part in range(0, whole + 1, max(1, whole // 9))
    ]
    for one, other in product(shares, repeat=2):
        found, turned = rate_difference(one, other), rate_difference(other, one)
        assert found is not None
        assert turned is not None
        assert -1 <= found.low <= found.difference <= found.high <= 1
        assert found == pytest.approx(RateDifference(-turned.difference, -turned.high, -turned.low))


@pytest.mark.parametrize("wrong", [Share(0, 0), Share(3, 2), Share(3, 0)])
def test_what_is_no_share_has_no_interval(wrong: Share) -> None:
    """Neither without a trial nor with more successes than trials, on either side."""
    assert rate_difference(wrong, Share(1, 2)) is None
    assert rate_difference(Share(1, 2), wrong) is None
    with pytest.raises(ValueError, match="is not a share"):
        wilson_interval(wrong)


def test_about_19_of_20_intervals_hold_the_true_difference() -> None:
    """Drawn by chance with a fixed seed: rates from small to large, groups from small to large."""
    chance = random.Random(57)  # noqa: S311 - a simulation
    held = drawn = 0
    for (rate, other), (size, other_size) in product(
        [(0.05, 0.05), (0.31, 0.34), (0.5, 0.2), (0.97, 0.9)], [(20, 35), (150, 150), (40, 400)]
    ):
        held_here = 0
        for _ in range(400):
            share = Share(sum(chance.random() < rate for _ in range(size)), size)
            baseline = Share(sum(chance.random() < other for _ in range(other_size)), other_size)
            found = rate_difference(share, baseline)
            assert found is not None
            held_here += found.low <= rate - other <= found.high
        assert 0.91 <= held_here / 400 <= 0.999
        held, drawn = held + held_here, drawn + 400
    assert 0.94 <= held / drawn <= 0.97
