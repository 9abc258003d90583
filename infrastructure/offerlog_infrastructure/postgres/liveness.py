"""The question whether a server answers, twice a second, on a thread and a connection of its own.

A server that hangs looks like one that is slow: each call waits for its own time limit, and holds a thread
meanwhile. Where one server of several hangs, that must be known before its visitors have taken all threads.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import psycopg

from offerlog_infrastructure.postgres.connections import StoreConnection, open_connection

SILENT_SECONDS: Final = 3.0
"""Seconds without an answer after which a server counts as silent. A SELECT of nothing takes no disk and no
lock, so only a server that hangs, or is away, needs so long for it."""

_PERIOD_SECONDS: Final = 0.5
"""Seconds between two questions."""

_CONNECT_SECONDS: Final = 3
"""Time limit of one attempt to connect, in place of that of the address."""

_END_SECONDS: Final = 1.0
"""Seconds for which `close` waits for the thread."""

_log = logging.getLogger(__name__)


class Liveness:
    """Asks a server whether it answers, until `close`; thread-safe.

    Args:
        server: Names the server in the log.
        arguments: The result of `connection_arguments`.
        on_silence: Called on the thread each time the server falls silent.
    """

    def __init__(self, server: str, arguments: dict[str, object], on_silence: Callable[[], None]) -> None:
        self._server = server
        self._arguments = {**arguments, "connect_timeout": _CONNECT_SECONDS}
        self._on_silence = on_silence
        self._silence: str | None = None
        self._answered_at = time.monotonic()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="offerlog-liveness", daemon=True)
        self._thread.start()

    def find_silence(self) -> psycopg.OperationalError | None:
        """Return the error of a server that has been silent for seconds; None for one that answers."""
        silence = self._silence
        return None if silence is None else psycopg.OperationalError(silence)

    def close(self) -> None:
        """Stop asking."""
        self._closing.set()
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with open_connection(self._arguments, 0) as connection:
                    self._ask(connection)
            except psycopg.Error as error:
                if time.monotonic() - self._answered_at >= SILENT_SECONDS:
                    self._note_silence(error)
                self._closing.wait(_PERIOD_SECONDS)

    def _ask(self, connection: StoreConnection) -> None:
        """Ask again and again, until there is no answer, or until `close`."""
        connection.answer_within = SILENT_SECONDS
        while not self._closing.is_set():
            connection.execute("SELECT")
            self._answered_at = time.monotonic()
            if self._silence is not None:
                self._silence = None
                _log.warning("%s answers again", self._server)
            self._closing.wait(_PERIOD_SECONDS)

    def _note_silence(self, error: psycopg.Error) -> None:
        has_fallen_silent = self._silence is None
        self._silence = " ".join(str(error).split())
        if has_fallen_silent:
            _log.warning(
                "%s does not answer; calls of it fail at once until it does: %s", self._server, self._silence
            )
            self._on_silence()
