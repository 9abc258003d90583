"""The nemesis: deals faults from a deck that the seed shuffles, and lets the system recover in between."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from random import Random
from typing import Final

import psycopg

from soak.clients import Progress
from soak.faults import CannotInjectError, Fault
from soak.history import HEALED, INJECTED, SKIPPED, VIOLATION
from soak.report import ProgressLine
from soak.system import System

RECOVERY_SECONDS: Final = 180.0
"""A healed system that does not answer, or has a process down, for so long counts as dead: a violation."""

_EACH_SECONDS: Final = 100.0
"""For so long at most the nemesis goes on behind its time, until each fault was injected once."""

_TWO_AT_ONCE: Final = 0.12
"""The share of injections that a second fault joins."""

_LOOK_SECONDS: Final = 0.1


class Nemesis:
    """One run's faults.

    Args:
        system: What is hurt.
        faults: The deck: each as often as its weight says, shuffled, dealt to its end, shuffled again.
        seed: All choices come from it.
        last_acknowledged: When any client was last answered, by the monotonic clock.
        rest: The shortest and the longest pause after a recovery, in seconds.
        is_each: Whether to go on behind the time until each fault was injected once.
    """

    def __init__(
        self,
        system: System,
        faults: Sequence[Fault],
        seed: int,
        last_acknowledged: Callable[[], float],
        rest: tuple[float, float] = (0.5, 3.0),
        *,
        is_each: bool = False,
    ) -> None:
        self._system = system
        self._faults = [one for one in faults for _ in range(one.weight)]
        self._chance = Random(f"nemesis {seed}")  # noqa: S311 - repeatable choices, no secret
        self._last_acknowledged = last_acknowledged
        self._rest = rest
        self._missing = {one.name for one in faults} if is_each else set[str]()
        self._deck: list[Fault] = []
        self._stop = threading.Event()
        self.active: tuple[str, ...] = ()
        self.injected = 0

    def run(self, seconds: float) -> None:
        """Inject for so long; everything is healed when it returns."""
        deadline = time.monotonic() + seconds
        latest = deadline + _EACH_SECONDS
        while time.monotonic() < (latest if self._missing else deadline) and not self._stop.is_set():
            self._once(deadline)
            self._stop.wait(self._chance.uniform(*self._rest))

    def stop(self) -> None:
        """Heal what is injected, and inject nothing more."""
        self._stop.set()

    def _once(self, deadline: float) -> None:
        with ExitStack() as healing:
            lasts, alone = self._inject(healing)
            if self._chance.random() < _TWO_AT_ONCE and not alone:
                lasts = max(lasts, self._inject(healing)[0])
            self._stop.wait(min(lasts, max(0.0, deadline - time.monotonic())))
        self.active = ()
        self._await_recovery(deadline)

    def _await_recovery(self, deadline: float) -> None:
        """Wait until a client has been answered and every process works again.

        Behind the deadline no client sends any more, and the end of the soak waits for the system itself.
        """
        healed = time.monotonic()
        while not self._stop.is_set() and time.monotonic() < deadline:
            is_answering = self._last_acknowledged() > healed
            down = [name for name in self._system.fleet.names() if not self._system.fleet.is_up(name)]
            if is_answering and not down:
                return
            seconds = time.monotonic() - healed
            if seconds > RECOVERY_SECONDS:
                what = f"{', '.join(down)} down" if down else "no client was answered"
                self._system.history.write(
                    VIOLATION, check="recovery", what=f"{seconds:.0f} s after healing: {what}"
                )
                return
            time.sleep(_LOOK_SECONDS)

    def _inject(self, healing: ExitStack) -> tuple[float, bool]:
        """Inject one fault; returns for how many seconds it is to last, and whether it must stay alone."""
        if not self._deck:
            self._deck = list(self._faults)
            self._chance.shuffle(self._deck)
        fault = self._deck.pop()
        # Drawn in any case, and from a separate source of chance: what a fault draws changes no later choice.
        seconds = self._chance.uniform(*fault.seconds)
        running = fault.run(self._system, Random(self._chance.random()))  # noqa: S311 - repeatable
        history = self._system.history
        try:
            target = next(running)
        except (CannotInjectError, psycopg.Error, OSError) as error:
            history.write(SKIPPED, fault=fault.name, why=_in_short(error))
            return 0.0, False
        self.injected += 1
        self._missing.discard(fault.name)
        self.active += (fault.name,)
        history.write(INJECTED, fault=fault.name, target=target)

        def heal() -> None:
            next(running, None)
            history.write(HEALED, fault=fault.name)

        healing.callback(heal)
        return seconds, fault.alone


def _in_short(error: Exception) -> str:
    """Say why a fault could not be injected; what libpq says of a connection has many lines and paths."""
    if isinstance(error, psycopg.OperationalError):
        return "the store could not be reached then"
    return str(error)


def possible_of(system: System, faults: Sequence[Fault]) -> list[Fault]:
    """Prepare for the faults; returns those that this machine permits."""
    possible: list[Fault] = []
    for fault in faults:
        why = fault.prepare(system)
        if why is None:
            possible.append(fault)
        else:
            system.history.write(SKIPPED, fault=fault.name, why=why)
    return possible


def follow(progress: Progress, nemesis: Nemesis, seconds: float) -> None:
    """Let the nemesis work, and show how it goes."""
    line = ProgressLine(sys.stderr, seconds)
    thread = threading.Thread(target=nemesis.run, args=(seconds,), name="soak-nemesis", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
            counts = progress.counts
            active = ", ".join(nemesis.active) or "-"
            line.show(
                f"{counts['signals']:,} acknowledged, {counts['unknown']:,} requests unknown,"
                f" {nemesis.injected} faults; now: {active}"
            )
    finally:
        nemesis.stop()
        thread.join(60)
        line.close()
