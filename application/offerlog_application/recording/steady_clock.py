"""The clock of decisions: the service's clock, but never going back."""

import logging
import threading
from datetime import datetime, timedelta
from typing import Final

from offerlog_application.ports.clock import Clock

_WORTH_A_LINE: Final = timedelta(seconds=1)
"""A clock that was set back by more than this gets a line in the log."""

_log = logging.getLogger(__name__)


class SteadyClock:
    """The service's clock for decisions; thread-safe.

    Where the service's clock is set back, this one stands still until the other has passed it. So of two
    groups, the one decided later never has the earlier moment.

    Args:
        clock: The service's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: datetime | None = None
        self._is_back = False

    def now(self) -> datetime:
        """Return the time, aware, in UTC; never earlier than it was returned before."""
        with self._lock:
            now, last = self._clock.now(), self._last
            if last is None or now >= last:
                self._last, self._is_back = now, False
                return now
            if not self._is_back and last - now > _WORTH_A_LINE:
                self._is_back = True
                _log.warning(
                    "the service's clock was set back by %.0f seconds: what is decided is dated %s until the"
                    " clock has passed that time; open the service anew to go by the clock at once",
                    (last - now).total_seconds(),
                    last.isoformat(),
                )
            return last
