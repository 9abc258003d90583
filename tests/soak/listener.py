"""A listener of one organization's stream of changes, which comes back whenever it is cut off."""

import http.client
import json
import threading
from collections import Counter
from typing import Any, Final

from soak.evidence import Figures
from soak.history import VIOLATION, History

_SILENCE_SECONDS: Final = 40.0
"""The service sends a comment at least every 15 seconds."""
_AGAIN_SECONDS: Final = 0.3


class Listener(threading.Thread):
    """A thread that keeps the newest figures that a stream has told.

    Args:
        organization: Whose.
        port: The service's.
        key: A key that may read reports.
        history: For figures that go down.
    """

    def __init__(self, organization: str, port: int, key: str, history: History) -> None:
        super().__init__(name=f"soak-listener-{organization}", daemon=True)
        self._organization = organization
        self._port = port
        self._key = key
        self._history = history
        self._last_event_id: str | None = None
        self._lock = threading.Lock()
        self._figures: Figures = {}
        self._ended = threading.Event()
        self.connects = 0
        self.events = 0

    def figures(self) -> Figures:
        """Return the newest figures: counts by action map and state."""
        with self._lock:
            return {action_map: Counter(counts) for action_map, counts in self._figures.items()}

    def stop(self) -> None:
        """Listen no more; the thread ends with its connection."""
        self._ended.set()

    def run(self) -> None:
        """Listen, and come back."""
        while not self._ended.is_set():
            try:
                self._listen()
            except (OSError, http.client.HTTPException):
                self._ended.wait(_AGAIN_SECONDS)

    def _listen(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SILENCE_SECONDS)
        headers = {"Authorization": f"Bearer {self._key}"}
        if self._last_event_id is not None:
            headers["Last-Event-ID"] = self._last_event_id
        try:
            connection.request("GET", "/v1/stream", headers=headers)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                self._ended.wait(_AGAIN_SECONDS)
                return
            self.connects += 1
            event_id: str | None = None
            while not self._ended.is_set() and (line := answer.readline()):
                if not line.endswith(b"\n"):
                    return  # cut off in the middle
                if line.startswith(b"id: "):
                    event_id = line[4:].strip().decode()
                elif line.startswith(b"data: "):
                    self._take(json.loads(line[6:]))
                    self._last_event_id = event_id
        finally:
            connection.close()

    def _take(self, change: dict[str, Any]) -> None:
        if "reason" in change:
            return  # trouble of the store
        self.events += 1
        with self._lock:
            for row in change["rows"]:
                counts = counted(row["metrics"])
                before = self._figures.get(row["action_map_id"], Counter())
                if before - counts:
                    what = f"{self._organization} {row['action_map_id']}: {before}, then {counts}"
                    self._history.write(VIOLATION, check="stream of changes goes down", what=what)
                self._figures[row["action_map_id"]] = counts


def counted(metrics: dict[str, int]) -> Counter[str]:
    """Turn `nWebActionsOffered` and the like into counts by state."""
    return Counter({name[11].lower() + name[12:]: count for name, count in metrics.items() if count})
