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
    """Wait until a position of the log shows.

    A store that goes away meanwhile is waited for as well: what was recorded stays recorded.

    Args:
        position: That position.
        timeout: Seconds without any progress.
        announce: Makes the wait that is announced once it lasts.
        shown: Asks up to where everything shows.
        pause: Waits that many seconds, or less where there is something new to see.
        trouble: What keeps the projector, if anything.

    Raises:
        ProjectionsBehindError: There was no progress for that long.
        StoreUnavailableError: The store could not be reached for that long.
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
