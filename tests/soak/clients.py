"""The clients: each sends one request after the other, keeps its history, and sends again what is unknown."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

from soak.history import ANSWERED, DECLINED, SENT, UNKNOWN, VIOLATION, History
from soak.traffic import Request, Traffic

DRAIN_SECONDS: Final = 150.0
"""So long a client goes on asking what became of its last request when the soak is over."""

Outcome = Sequence[str | None]
"""What became of a signal: its outcome and the reason."""


class DeclinedError(Exception):
    """The service has said that nothing of a request was taken, or no byte of it was sent."""


class UnknownError(Exception):
    """Nobody knows what became of a request, or of its signals from some place on.

    Attributes:
        outcomes: Those of its first signals that were acknowledged before.
    """

    def __init__(self, why: str, outcomes: Sequence[Outcome] = ()) -> None:
        super().__init__(why)
        self.outcomes = outcomes


class WrongAnswerError(Exception):
    """An answer that a good request must never get."""


class Way(Protocol):
    """A way into the system."""

    name: str

    def send(self, request: Request) -> dict[str, Any]:
        """Send a request; returns what its answer says, as a history has it.

        Raises:
            DeclinedError: Nothing was taken.
            UnknownError: Its outcome is unknown.
            WrongAnswerError: The answer is none that the request can get.
        """

    def close(self) -> None:
        """Let go of connections."""


class Progress:
    """What all clients of a process have seen so far; thread-safe.

    Attributes:
        last: When a client was last answered, by the monotonic clock.
        counts: Requests by what became of them, and signals acknowledged (`signals`).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.last = time.monotonic()
        self.counts: Counter[str] = Counter()

    def note(self, kind: str, signals: int = 0) -> None:
        """Count what became of a request."""
        with self._lock:
            self.counts[kind] += 1
            if kind == ANSWERED:
                self.counts["signals"] += signals
                self.last = time.monotonic()


@dataclass(frozen=True)
class Soaking:
    """What the clients of a process share.

    Attributes:
        seed: All choices come from it.
        began: Wall-clock time of the soak's begin, in seconds.
        histories: The folder of the histories.
        until: When no client begins a further request, by the monotonic clock.
        pause: The longest pause between two requests of a client, in seconds.
        progress: What has been answered.
    """

    seed: int
    began: float
    histories: Path
    until: float
    pause: float
    progress: Progress


class Client(threading.Thread):
    """One client; a thread.

    Args:
        name: Unique in the run.
        way: How it sends; closed at the end.
        soaking: What it shares with others.
        share_of_offers: How many of its requests ask for an offer.
        more: See `Traffic`.
    """

    def __init__(
        self, name: str, way: Way, soaking: Soaking, share_of_offers: float = 0.2, **more: Any
    ) -> None:
        super().__init__(name=f"soak-{name}", daemon=True)
        self._client = name
        self._way = way
        self._traffic = Traffic(soaking.seed, name, soaking.began, share_of_offers, **more)
        self._history = History(soaking.histories, name)
        self._progress = soaking.progress
        self._until = soaking.until
        self._pause = soaking.pause
        self._chance = Random(f"pauses {soaking.seed} {name}")  # noqa: S311 - repeatable, no secret
        self._number = 0

    def run(self) -> None:
        """Send until it is over, and then until the last request is answered."""
        try:
            while time.monotonic() < self._until:
                self._settle(self._traffic.next())
                time.sleep(self._chance.random() * self._pause)
        except Exception as error:
            self._history.write(VIOLATION, check="clients", what=f"{self._client} has ended: {error!r}")
            raise
        finally:
            self._way.close()
            self._history.close()

    def _settle(self, request: Request) -> None:
        """Send a request until it is answered."""
        can_repeat = request.offer is None or "actionId" in request.offer
        earlier: str | None = None
        while True:
            earlier, is_over = self._send(request, earlier)
            if is_over or not can_repeat or time.monotonic() > self._until + DRAIN_SECONDS:
                return
            time.sleep(0.05 + self._chance.random() * 0.3)

    def _send(self, request: Request, earlier: str | None) -> tuple[str, bool]:
        self._number += 1
        number = f"{self._client}-{self._number}"
        what: dict[str, Any] = {"signals": request.signals}
        if request.offer is not None:
            what = {"offer": request.offer}
        if earlier is not None:
            what |= {"again": earlier}
        entry = {"request": number, "way": self._way.name, "organization": request.organization}
        self._history.write(SENT, **entry, **what)
        try:
            answer = self._way.send(request)
        except DeclinedError as error:
            self._history.write(DECLINED, request=number, why=str(error))
            self._progress.note(DECLINED)
            return number, False
        except UnknownError as error:
            self._history.write(UNKNOWN, request=number, why=str(error), outcomes=list(error.outcomes))
            self._progress.note(UNKNOWN)
            return number, False
        except WrongAnswerError as error:
            self._history.write(UNKNOWN, request=number, why=str(error))
            self._history.write(VIOLATION, check="answers", what=f"request {number}: {error}")
            self._progress.note(UNKNOWN)
            return number, True
        self._history.write(ANSWERED, request=number, **answer)
        self._progress.note(ANSWERED, len(request.signals) or 1)
        return number, True
