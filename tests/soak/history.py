"""The history: what was sent, injected and answered, and when, as JSON lines of each actor's own file.

A line is written out before the next step is taken. So a request stands in the history before any byte of it
is sent, and its outcome before the client goes on. All processes of a run write the same clock.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

Entry = dict[str, Any]
"""One line: `at` (seconds of the monotonic clock, which a machine's processes share), `kind`, and more."""

SENT: Final = "sent"
"""A request is about to be sent: `request` (its number), `way`, `organization`, `signals` or `offer`."""
ANSWERED: Final = "answered"
"""The answer to a `request` has been read: `outcomes` of its signals, or the `decision`; `position`."""
DECLINED: Final = "declined"
"""The service has said of a `request` that nothing of it was taken: `why`."""
UNKNOWN: Final = "unknown"
"""Nobody knows what became of a `request`: `why`. It is sent again until it is answered."""
INJECTED: Final = "injected"
HEALED: Final = "healed"
SKIPPED: Final = "skipped"
"""The nemesis: `fault`, and `target` or `why`."""
STARTED: Final = "started"
ENDED: Final = "ended"
"""A process: `process`, `pid`; an end also has `code`, and `expected`: whether the soak itself did it."""
OVER: Final = "over"
"""No client begins a further request."""
VIOLATION: Final = "violation"
"""Something was seen to be wrong while the soak ran: `check`, `what`."""


class History:
    """One actor's file; thread-safe.

    Args:
        folder: The folder of all histories of the run.
        actor: Who writes; the file has this name.
    """

    def __init__(self, folder: Path, actor: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._file = (folder / f"{actor}.jsonl").open("a", encoding="utf-8")

    def write(self, kind: str, **fields: Any) -> float:
        """Write one line out; returns its time."""
        with self._lock:
            at = time.monotonic()
            self._file.write(json.dumps({"at": round(at, 6), "kind": kind, **fields}) + "\n")
            self._file.flush()
        return at

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(folder: Path) -> Iterator[Entry]:
    """Read all entries of all actors, each actor's in order.

    The last line of an actor that was killed in the middle of writing it is left out: what it would have said
    was never acted on.
    """
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)
