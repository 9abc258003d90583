"""A signal may be refused for its time alone: from the future, or too old. Borders belong to what is fine."""

from datetime import UTC, datetime, timedelta

import pytest

from offerlog_domain.context import DecisionContext, Rules
from offerlog_domain.offer_rule import find_timing_fault
from offerlog_domain.outcomes import Reason

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
RULES = Rules()
INSTANT = timedelta(microseconds=1)


def fault(occurred_at: datetime | None, *, from_widget: bool = False) -> Reason | None:
    """The reason to refuse a signal that happened then and comes now."""
    return find_timing_fault(occurred_at, DecisionContext("acme", NOW, RULES, from_widget))


def test_a_signal_without_a_time_has_no_fault() -> None:
    """It happens when it arrives."""
    assert fault(None) is None
    assert fault(None, from_widget=True) is None


@pytest.mark.parametrize("from_widget", [False, True])
def test_a_clock_may_be_ahead_by_the_tolerance(from_widget: bool) -> None:  # noqa: FBT001 - pytest's way
    """And not by an instant more."""
    border = NOW + RULES.future_tolerance
    assert fault(border, from_widget=from_widget) is None
    assert fault(border + INSTANT, from_widget=from_widget) is Reason.FROM_THE_FUTURE


def test_a_widget_may_be_late_by_eight_days() -> None:
    """Whoever has another key may import what is older."""
    border = NOW - RULES.widget_max_age
    assert fault(border, from_widget=True) is None
    assert fault(border - INSTANT, from_widget=True) is Reason.TOO_OLD
    assert fault(border - INSTANT) is None


def test_nothing_is_older_than_the_year_2000() -> None:
    """Whoever sends it."""
    border = datetime(2000, 1, 1, tzinfo=UTC)
    assert fault(border) is None
    assert fault(border - INSTANT) is Reason.TOO_OLD
