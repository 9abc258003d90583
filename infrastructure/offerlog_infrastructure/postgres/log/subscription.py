"""A subscription to the log that polls, so that it does not depend on messages that may be lost."""

import threading
import time
from collections.abc import Sequence
from typing import Final, TypeVar

from eventsourcing.persistence import ListenNotifySubscription, Notification
from eventsourcing.postgres import PostgresApplicationRecorder

Recorder = TypeVar("Recorder", bound=PostgresApplicationRecorder)


class TimedSubscription(ListenNotifySubscription[Recorder]):
    """A subscription that polls: it has no LISTEN that could be lost or start too late."""

    _POLL_SECONDS: Final = 0.03

    def __init__(self, recorder: Recorder, gt: int | None = None, topics: Sequence[str] = ()) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=())
        self._wanted = frozenset(topics)
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def __next__(self) -> Notification:
        """Return the next notification of a wanted topic; a filter in SQL would rescan the log each time."""
        while True:
            notification = super().__next__()
            if not self._wanted or notification.topic in self._wanted:
                return notification

    def _tick(self) -> None:
        while not self._has_been_stopped:
            self._has_been_notified.set()
            time.sleep(self._POLL_SECONDS)
