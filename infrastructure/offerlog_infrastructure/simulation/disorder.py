"""The arrival of signals: at once and in order, or late and repeated like real beacons."""

from collections.abc import Iterator
from typing import Final

from offerlog_infrastructure.simulation.chance import Chance
from offerlog_infrastructure.simulation.period import MINUTE, SECOND
from offerlog_infrastructure.simulation.wire import SimulatedSignal

LATE: Final = 0.04
"""A beacon waits on a poor connection, for seconds."""
VERY_LATE: Final = 0.01
"""A beacon waits for the page's next chance to send, for minutes."""
SENT_TWICE: Final = 0.02
"""The same beacon arrives again, byte for byte."""
RETRIED: Final = 0.01
"""The widget reports the same event again with another event id."""


class Transit:
    """The way from browsers to the service.

    It draws from its own source, so the same seed makes the same signals, whatever happens to them on the
    way.
    """

    def __init__(self, chance: Chance, *, disorder: bool, repeats: bool) -> None:
        self._chance = chance
        self._disorder = disorder
        self._repeats = repeats

    def arrivals(self, signal: SimulatedSignal) -> Iterator[tuple[int, str]]:
        """Yield when the signal arrives and as which line, once or more; never before it happened."""
        chance = self._chance
        arrival = signal.at + self._delay() if self._disorder else signal.at
        line = signal.line()
        yield arrival, line
        if self._repeats:
            if chance.happens(SENT_TWICE):
                yield arrival + chance.mostly_low(SECOND, 20 * MINUTE), line
            if chance.happens(RETRIED):
                again = signal._replace(event_id=chance.uuid())
                yield arrival + chance.mostly_low(SECOND, 2 * MINUTE), again.line()

    def _delay(self) -> int:
        chance = self._chance
        if chance.happens(VERY_LATE):
            return chance.mostly_low(MINUTE, 10 * MINUTE)
        if chance.happens(LATE):
            return chance.mostly_low(2 * SECOND, MINUTE)
        return chance.mostly_low(20, SECOND)
