"""The lifeline of a child process: a pipe whose other end only its parent holds.

The kernel closes that end when the parent dies, also by `kill -9`. So a child never outlives its parent for
long, on any system.
"""

import logging
import os
import signal
import threading
import time

_log = logging.getLogger(__name__)


class Lifeline:
    """A pipe between a parent and its forked children."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def follow(self, seconds: float) -> None:
        """Watch the parent, in a child: at its death this process gets SIGTERM, and later is killed.

        Args:
            seconds: Seconds in which the process must end.
        """
        os.close(self._writer)
        threading.Thread(
            target=self._await_end, args=(seconds,), name="offerlog-lifeline", daemon=True
        ).start()

    def close(self) -> None:
        """Close both ends, in the parent: children that still run end."""
        os.close(self._reader)
        os.close(self._writer)

    def _await_end(self, seconds: float) -> None:
        while os.read(self._reader, 1):
            pass
        _log.error("the supervisor of this service is gone, so this process ends")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
        _log.critical("it did not end in %.0f seconds", seconds)
        os._exit(1)
