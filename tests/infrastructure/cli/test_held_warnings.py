"""A warning whose cause becomes the error of a command is not shown; every other one is."""

import logging
import threading

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


def test_a_cause_is_shown_once() -> None:
    """In the error; a cause that the error does not name is shown, and so is one if there is no error."""
    shown = _Shown()
    handler = HeldWarnings(shown)
    # when
    _warn(handler, "one cannot be opened: %s", ConnectionError("no\n answer"))
    _warn(handler, "two cannot be opened: %s", "no room")
    _warn(handler, "%d are waited for", 3)
    _warn(handler, "made a store at %s", "answer")
    # then what has no cause is shown at once, and the others at the end
    assert shown.lines == ["3 are waited for", "made a store at answer"]
    handler.show_held("it failed: no answer; try again")
    assert shown.lines[2:] == ["two cannot be opened: no room"]
    _warn(handler, "one cannot be opened: %s", "no answer")
    handler.show_held()
    assert shown.lines[3:] == ["one cannot be opened: no answer"]


def test_a_command_that_goes_on_shows_its_warnings_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few threads wait for them, however many there are."""
    monkeypatch.setattr(held_warnings, "_HOLD_SECONDS", 0.2)
    shown = _Shown()
    handler = HeldWarnings(shown)
    others = threading.active_count()
    # when
    for _ in range(20):
        _warn(handler, "one cannot be opened: %s", "no answer")
    # then
    assert threading.active_count() <= others + 2
    until(lambda: len(shown.lines) == 20)
    _warn(handler, "one cannot be opened: %s", "no answer")
    until(lambda: len(shown.lines) == 21)
