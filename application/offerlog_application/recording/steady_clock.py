"""The clock of decisions: the service's clock, without its small steps back."""

import logging
import threading
from datetime import datetime, timedelta
from typing import Final

from offerlog_application.ports.clock import Clock

_WORTH_A_LINE: Final = timedelta(seconds=1)
"""A clock that was set back by more than this gets a line in the log."""

_LONGEST_STAND: Final = timedelta(seconds=60)
"""A clock that was set back by more than this was wrong before, so it is followed at once."""

_log = logging.getLogger(__name__)


class SteadyClock:
    """The service's clock for decisions; thread-safe.

    Where the service's clock is set back by a minute or less, this one stands still until the other has
    passed it. So a group that is decided later does not have an earlier moment. A larger step corrects
    a clock that was wrong. It is followed.

    Args:
        clock: The service's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: datetime | None = None
        self._is_back = False

    def now(self) -> datetime:
        """Return the time, aware, in UTC; earlier than before only after a step of more than a minute."""
        with self._lock:
            now, last = self._clock.now(), self._last
            if last is None or now >= last:
                self._last, self._is_back = now, False
                return now
            back = last - now
            if back > _LONGEST_STAND:
                _log.warning(
                    "the service's clock was set back by %.0f seconds: what is decided from now on is dated"
                    " before what was decided until %s",
                    back.total_seconds(),
                    last.isoformat(),
                )
                self._last, self._is_back = now, False
                return now
            if not self._is_back and back > _WORTH_A_LINE:
                self._is_back = True
                _log.warning(
                    "the service's clock was set back by %.0f seconds: what is decided is dated %s until the"
                    " clock has passed that time",
                    back.total_seconds(),
                    last.isoformat(),
                )
            return last
