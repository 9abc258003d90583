"""Waiting until the projections show a position of the log."""

import time
from collections.abc import Callable
from typing import Final

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.waiting import WaitAnnouncer
from offerlog_application.reading.read_models import ProjectionsBehindError

_AGAIN_SECONDS: Final = 0.2
"""How soon a store that cannot be reached is asked again."""

_LOOK_SECONDS: Final = 0.01


def await_shown(
    position: int,
    timeout: float,
    *,
    announce: WaitAnnouncer,
    shown: Callable[[], int],
    pause: Callable[[float], None] = time.sleep,
    trouble: Callable[[], Exception | None] = lambda: None,
) -> None:
    """Wait until the projections show a position of the log.

    A store that cannot be reached meanwhile is waited for as well: what was recorded stays recorded.

    Args:
        position: The position.
        timeout: Seconds without any progress.
        announce: Makes the wait that is announced once it lasts.
        shown: Returns the position that all projections show.
        pause: Waits so many seconds, or less if a projection moves.
        trouble: Returns what stops the projector, if anything does.

    Raises:
        ProjectionsBehindError: There was no progress for `timeout` seconds.
        StoreUnavailableError: The store could not be reached for `timeout` seconds.
    """
    reached, since = -1, time.monotonic()
    with announce("the projections to show what was recorded", timeout) as wait:
        while True:
            try:
                now_at = shown()
            except StoreUnavailableError as error:
                if time.monotonic() - since > timeout:
                    raise
                wait.reason = str(error)
                time.sleep(_AGAIN_SECONDS)
                continue
            if now_at >= position:
                return
            if now_at > reached:
                reached, since = now_at, time.monotonic()
            elif time.monotonic() - since > timeout:
                raise ProjectionsBehindError(position, reached, trouble())
            wait.reason = str(trouble() or "")
            pause(_LOOK_SECONDS)
