"""Settings that are periods of time."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from offerlog_infrastructure.settings import Settings


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("900", timedelta(minutes=15)),
        ("0.5", timedelta(seconds=0.5)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("15 min", timedelta(minutes=15)),
        ("1.5h", timedelta(minutes=90)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_period_may_have_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, period: timedelta) -> None:
    """A bare number is seconds, also where the setting is not a period but a number of seconds."""
    monkeypatch.setenv("OFFERLOG_PARKING_TIME", text)
    monkeypatch.setenv("OFFERLOG_READY_LAG", text)
    assert Settings().parking_time == period
    assert Settings().ready_lag == period.total_seconds()


@pytest.mark.parametrize("text", ["soon", "m", "15 months", "15M", "1e400", "nan", "15m 3s", "-1m"])
def test_what_is_not_a_period_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """With what would be right."""
    monkeypatch.setenv("OFFERLOG_PARKING_TIME", text)
    with pytest.raises(ValidationError):
        Settings()
