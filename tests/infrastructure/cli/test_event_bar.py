"""The progress of long work where there is no terminal."""

import pytest

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.cli import event_bar


def test_long_work_prints_a_line_now_and_then_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Short work prints nothing."""
    with event_bar.event_bar("erasing", "visitors") as show:
        show(RebuildProgress("erasing", 200, 18_000))
        monkeypatch.setattr(event_bar, "LINE_SECONDS", 0.0)
        show(RebuildProgress("erasing", 400, 18_000))
    assert capsys.readouterr().err == "offerlog: erasing: 400 of 18,000 visitors\n"
