"""Times of uses, noted in memory and stored together."""

import threading
from datetime import datetime, timedelta
from typing import Generic, LiteralString, TypeVar

from eventsourcing.postgres import PostgresDatastore

from offerlog_infrastructure.postgres.errors import store_reached

N = TypeVar("N", str, bytes)


class NotedUses(Generic[N]):
    """The last use of each name since uses were stored; thread-safe.

    Args:
        statement: Stores uses. Its parameters are the names, their times, and the least time between two
            stored uses of a name.
        precision: That least time.
    """

    def __init__(self, statement: LiteralString, precision: timedelta) -> None:
        self._statement = statement
        self._precision = precision
        self._used: dict[N, datetime] = {}
        self._lock = threading.Lock()

    def note(self, name: N, at: datetime) -> None:
        """Note a use."""
        with self._lock:
            self._used[name] = at

    def store(self, datastore: PostgresDatastore) -> int:
        """Store the noted uses; returns the number of rows changed.

        Raises:
            StoreUnavailableError: The store cannot be reached. The uses are stored at the next call.
        """
        with self._lock:
            used, self._used = self._used, {}
        if not used:
            return 0
        try:
            with store_reached(datastore), datastore.transaction(commit=True) as cursor:
                asked = (list(used), list(used.values()), self._precision)
                return cursor.execute(self._statement, asked).rowcount
        except BaseException:
            with self._lock:
                self._used = used | self._used
            raise
