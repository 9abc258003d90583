"""The time that each step of a move takes."""

import time
from collections.abc import Sequence

from offerlog_application.ports.shards import MoveStep


class MoveTimes:
    """The time of each step of one move, from now on."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._steps: dict[str, MoveStep] = {}
        self._has_owner = True

    @property
    def steps(self) -> Sequence[MoveStep]:
        """The steps so far, in order."""
        return [*self._steps.values()]

    @property
    def seconds_without_owner(self) -> float:
        """Seconds for which the slice has had no owner."""
        return sum(step.seconds for step in self._steps.values() if not step.has_owner)

    def note(self, name: str) -> None:
        """Note the end of a step, which began at the end of the one before. Rounds of a step add up."""
        now = time.monotonic()
        self._add(name, now - self._last)
        self._last = now

    def note_answer(self, names: Sequence[str], times: Sequence[float]) -> None:
        """Note the end of steps that a server has carried out as one message.

        Args:
            names: The names of its steps, and at last that of the wait until they were sent and answered.
            times: The server's clock before each step, and behind the last one, in seconds.
        """
        before = self._last
        self._last = time.monotonic()
        *steps, answer = names
        for name, began, ended in zip(steps, times, times[1:], strict=False):
            self._add(name, ended - began)
        self._add(answer, self._last - before - (times[-1] - times[0]))

    def _add(self, name: str, seconds: float) -> None:
        before = self._steps[name].seconds if name in self._steps else 0.0
        self._steps[name] = MoveStep(name, before + seconds, self._has_owner)

    def note_owner(self, *, has_owner: bool) -> None:
        """Note whether the slice has an owner from the end of the last step on."""
        self._has_owner = has_owner
