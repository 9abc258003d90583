"""Which metrics a view shows, and the rates."""

from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import FUNNEL_RATES, METRICS, MetricSet, rates


def test_the_report_view_is_the_vendors_and_the_full_view_adds_three() -> None:
    """In the order of the report, by the vendor's names."""
    report = ["Offered", "Accepted", "Rejected", "Started", "Abandoned", "Engaged"]
    assert [METRICS[state] for state in MetricSet.REPORT.states] == [f"nWebActions{name}" for name in report]
    full = [*report, "Ignored", "Errored", "Timedout"]
    assert [METRICS[state] for state in MetricSet.FULL.states] == [f"nWebActions{name}" for name in full]


def test_rates_are_unrounded() -> None:
    """One third stays one third."""
    ratios = rates({State.OFFERED: 3, State.ACCEPTED: 1, State.ENGAGED: 1})
    assert ratios == {"accepted": 1 / 3, "engaged": 1.0}


def test_a_zero_denominator_gives_no_rate() -> None:
    """Null, never 0; and a zero numerator gives 0."""
    assert rates({}) == {"accepted": None, "engaged": None}
    assert rates({State.OFFERED: 0, State.ACCEPTED: 2}) == {"accepted": None, "engaged": 0.0}
    assert rates({State.OFFERED: 2}) == {"accepted": 0.0, "engaged": None}


def test_engaged_is_a_share_of_the_accepted() -> None:
    """Not of the offered."""
    assert rates({State.OFFERED: 8, State.ACCEPTED: 4, State.ENGAGED: 2}) == {"accepted": 0.5, "engaged": 0.5}


def test_a_media_type_has_no_rate_of_states_that_it_never_reaches() -> None:
    """A content offer is accepted and never engaged; beside a web chat, or of an unknown type, it may be."""
    counts = {State.OFFERED: 8, State.ACCEPTED: 4}
    assert rates(counts, media_types=["contentOffer"]) == {"accepted": 0.5, "engaged": None}
    assert rates(counts, FUNNEL_RATES, media_types=["contentOffer"]) == {
        "accepted": 0.5,
        **dict.fromkeys(FUNNEL_RATES[1:]),
    }
    for known in (["webchat"], ["webMessagingOffer"], ["contentOffer", "webchat"], [None]):
        assert rates(counts, media_types=known) == {"accepted": 0.5, "engaged": 0.0}
