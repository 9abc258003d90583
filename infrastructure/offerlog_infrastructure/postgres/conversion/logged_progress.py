"""The progress of a conversion as log lines, for services and wherever there is no terminal."""

import logging
import time
from typing import Final

from offerlog_application.ports.rebuilds import RebuildProgress

_AGAIN_SECONDS: Final = 10.0
"""Seconds between two log lines of one stage."""

_log = logging.getLogger(__name__)


class LoggedProgress:
    """Logs a warning at the beginning of each stage that takes long, and every ten seconds."""

    def __init__(self) -> None:
        self._began = self._logged = time.monotonic()
        self._first: RebuildProgress | None = None

    def __call__(self, step: RebuildProgress) -> None:
        """Take in the progress."""
        now = time.monotonic()
        if self._first is None or step.stage != self._first.stage:
            self._first, self._began = step, now
        if now - self._logged < _AGAIN_SECONDS:
            return
        self._logged = now
        _log.warning("upgrading the store: %s, %s", step.stage, self._describe(self._first, step, now))

    def _describe(self, first: RebuildProgress, step: RebuildProgress, now: float) -> str:
        """Describe how far the stage is, and how long it may take."""
        rate = (step.events - first.events) / max(now - self._began, 0.1)
        left = max(step.total - step.events, 0)
        rest = f", about {left / rate:,.0f} seconds left" if rate and left else ""
        return f"{step.events:,} of {step.total:,} events, {rate:,.0f} a second{rest}"
