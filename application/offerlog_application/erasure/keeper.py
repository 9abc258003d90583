"""The thread that goes on with erasures whose process has died."""

import logging
from typing import Final

from offerlog_application.erasure.erasing import Eraser
from offerlog_application.schedule.periodic_thread import PeriodicThread

_LOOK_SECONDS: Final = 60.0
"""Seconds between two looks for interrupted erasures."""

_FINISHING_SECONDS: Final = 10.0
"""Seconds to wait at a step; the next look goes on."""

_TRIED_AGAIN: Final = "an interrupted erasure is not complete and will be tried again: %s"

_log = logging.getLogger(__name__)


def keep_erasures(eraser: Eraser) -> PeriodicThread:
    """Start the thread that completes interrupted erasures, from one minute after now until it is closed."""
    return PeriodicThread(
        "offerlog-erasures", _LOOK_SECONDS, lambda _: _finish_interrupted(eraser), _TRIED_AGAIN
    )


def _finish_interrupted(eraser: Eraser) -> None:
    finished = eraser.finish_interrupted(_FINISHING_SECONDS)
    for one in finished.erasures:
        _log.warning("completed an erasure that was interrupted at %s", one.erased_at)
    for error in finished.errors:
        _log.warning(_TRIED_AGAIN, error)
