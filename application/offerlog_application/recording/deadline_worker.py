"""The deadline worker: while a service is open, it ends what is overdue every few seconds."""

from collections.abc import Callable
from typing import Final

from offerlog_application.recording.expiry import Expiry
from offerlog_application.schedule.periodic_thread import PeriodicThread

_EXPIRY_SECONDS: Final = 5.0
"""Seconds between two looks for what is overdue."""


def keep_deadlines(expiry: Expiry, wait: Callable[[int | None], None]) -> PeriodicThread:
    """Start the thread that expires what is overdue until it is closed.

    Args:
        expiry: Ends what is overdue.
        wait: Waits until the projections show a position.
    """
    return PeriodicThread(
        "offerlog-deadlines",
        _EXPIRY_SECONDS,
        lambda thread: expiry.expire(wait, goes_on=lambda: not thread.is_closing),
        "deadlines could not be kept and will be tried again: %s",
    )
