"""Comparisons of versions as sentences."""

import pytest

from offerlog_application.ports.offer_reads import MapVersion
from offerlog_application.reading.action_maps import ActionMapsRow, VersionComparison
from offerlog_domain.identity import ActionMapId
from offerlog_domain.metrics import COMPARED_RATES, CountBy
from offerlog_domain.rate_differences import RateDifference
from offerlog_infrastructure.presentation.action_maps_documents import describe_difference, format_points
from support.journeys import an_id


def compared(rate: str, difference: RateDifference | None, count_by: CountBy = CountBy.ACTIONS) -> str:
    """The sentence of version 4 beside version 3."""
    of = MapVersion(ActionMapId(an_id("map")), "webchat", 4)
    return describe_difference(
        ActionMapsRow(*of, None, {}, None, {}, VersionComparison(3, {rate: difference})), rate, count_by
    )


def test_a_difference_is_told_with_its_interval() -> None:
    """More, less or as often; and whether chance may explain it."""
    assert compared("accepted", RateDifference(0.031, 0.004, 0.058)) == (
        "Offers of version 4 are accepted 3.1 points more often than those of version 3;"
        " the 95 % interval from 0.4 to 5.8 excludes 0."
    )
    assert compared("engaged", RateDifference(-0.2, -0.31, -0.00004)) == (
        "Accepted offers of version 4 reach an agent 20.0 points less often than those of version 3;"
        " the 95 % interval from -31.0 to -0.004 excludes 0."
    )
    assert compared("engaged_of_offered", RateDifference(0.0, -0.05, 0.05)) == (
        "Offers of version 4 reach an agent as often as those of version 3;"
        " the 95 % interval from -5.0 to 5.0 includes 0, so chance alone may explain it."
    )
    assert compared("accepted", None) == ""


def test_visitors_are_told_of_where_they_are_counted() -> None:
    """Not offers, of which a visitor may have had several."""
    found = [
        compared(rate, RateDifference(0.031, 0.004, 0.058), CountBy.VISITORS).partition(" 3.1 points more ")
        for rate in COMPARED_RATES
    ]
    assert [one[0] for one in found] == [
        "Visitors who were offered version 4 accept",
        "Visitors who accepted version 4 reach an agent",
        "Visitors who were offered version 4 reach an agent",
    ]
    assert {one[2].partition(";")[0] for one in found} == {"often than those of version 3"}


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        *((0.5, "50.0"), (-0.0041, "-0.4"), (0.0004, "0.04"), (-0.0004, "-0.04"), (0, "0")),
        *((-1e-8, "-0.000001"), (0.0025, "0.3"), (-0.0025, "-0.3")),
    ],
)
def test_points_never_round_to_zero(fraction: float, text: str) -> None:
    """A limit that is not 0 must not read as 0, nor as a power; halves are rounded as a browser does."""
    assert format_points(fraction) == text
