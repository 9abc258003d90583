"""How long each step of a move takes."""

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
        before = self._steps[name].seconds if name in self._steps else 0.0
        self._steps[name] = MoveStep(name, before + now - self._last, self._has_owner)
        self._last = now

    def note_owner(self, *, has_owner: bool) -> None:
        """Note whether the slice has an owner from the end of the last step on."""
        self._has_owner = has_owner
