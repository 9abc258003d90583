"""Where there is no terminal, the progress of an upgrade stands in the log."""

import time

import pytest

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.postgres.conversion.logged_progress import LoggedProgress


def test_a_line_every_ten_seconds_says_how_far_the_stage_is_and_how_long_it_will_take(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stage that is over within ten seconds is not mentioned."""
    # given
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = LoggedProgress()
    # when
    for now, stage, events in [  # noqa: B007 - the clock reads it
        (100, "rewriting", 2_000),
        (105, "rewriting", 52_000),
        (110, "rewriting", 102_000),
        (118, "rewriting", 182_000),
        (119, "loading", 0),
        (121, "loading", 0),
    ]:
        progress(RebuildProgress(stage, events, 1_002_000))
    # then
    assert [record.getMessage() for record in caplog.records] == [
        "upgrading the store: rewriting, 102,000 of 1,002,000 events, 10,000 a second, about 90 seconds left",
        "upgrading the store: loading, 0 of 1,002,000 events, 0 a second",
    ]
