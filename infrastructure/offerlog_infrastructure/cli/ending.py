"""Operating-system signals that end a command: Ctrl-C, SIGTERM and SIGHUP, with exit code 128 + number.

A signal that the caller has set to be ignored (`nohup`, a job in the background) stays ignored.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

_USUAL = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
"""The signals, and Python's default handler of each."""

_handled: set[int] = set()
_received: list[int] = []
_recording: list[bool] = []
"""Holds something once the command may have recorded signals."""


def end_at_once() -> None:
    """End the process at a signal from now on, without a traceback; for the time before anything is open."""
    for number, usual in _USUAL.items():
        if signal.getsignal(number) == usual:
            _handled.add(number)
    _handle(_end_process)


def end_in_order() -> None:
    """Raise KeyboardInterrupt at a signal from now on, so that everything open is closed."""
    _received.clear()
    _handle(_raise)


def end_silently() -> None:
    """Let a signal kill the process from now on: everything is closed."""
    for number in _handled:
        signal.signal(number, signal.SIG_DFL)


def exit_code() -> int:
    """Return the exit code of a command that a KeyboardInterrupt has ended."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def note_recording() -> None:
    """Note that the command may record signals from now on."""
    _recording.append(True)


def describe() -> str:
    """Return the words for the end: `interrupted`, `ended by SIGTERM`, and what it means for signals."""
    words = _name(_received[0] if _received else signal.SIGINT)
    if _recording:
        words += "; what was recorded stays recorded, and sending signals again is safe"
    return words


def _handle(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in _handled:
        signal.signal(number, handler)


def _end_process(number: int, _: FrameType | None) -> None:
    with suppress(OSError):  # standard error may be closed
        os.write(2, f"offerlog: {_name(number)}; nothing was done\n".encode())
    os._exit(128 + number)


def _raise(number: int, _: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt


def _name(number: int) -> str:
    return "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
