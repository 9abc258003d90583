"""A warning whose cause becomes the error of a command is not shown; every other one is."""

import logging

import pytest

from offerlog_infrastructure.cli import held_warnings
from offerlog_infrastructure.cli.held_warnings import HeldWarnings
from support.recount import until


class _Shown(logging.Handler):
    """Keeps what is shown."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _warn(handler: logging.Handler, message: str, *values: object) -> None:
    handler.handle(logging.LogRecord("a name", logging.WARNING, "", 0, message, values, None))


def test_a_cause_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the error; a cause that the error does not name is shown, and so is one if there is no error."""
    shown = _Shown()
    handler = HeldWarnings(shown)
    # when
    _warn(handler, "one cannot be opened: %s", ConnectionError("no\n answer"))
    _warn(handler, "two cannot be opened: %s", "no room")
    _warn(handler, "%d are waited for", 3)
    # then what has no cause is shown at once, and the others at the end
    assert shown.lines == ["3 are waited for"]
    handler.show_held("it failed: no answer; try again")
    assert shown.lines[1:] == ["two cannot be opened: no room"]
    _warn(handler, "one cannot be opened: %s", "no answer")
    handler.show_held()
    assert shown.lines[2:] == ["one cannot be opened: no answer"]
    # and a command that goes on shows it after a moment
    monkeypatch.setattr(held_warnings, "_HOLD_SECONDS", 0.01)
    _warn(handler, "one cannot be opened: %s", "no answer")
    until(lambda: len(shown.lines) == 4)
