"""All random values, drawn from `random.Random.random()` alone.

Python guarantees the sequence of no other method. `math` is avoided as well, because the last digit of its
functions depends on the platform.
"""

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

T = TypeVar("T")


class Weighted(Generic[T]):
    """Choices with weights, which need not sum to 1."""

    __slots__ = ("_choices", "_cumulative", "_total")

    def __init__(self, weights: Sequence[tuple[T, float]]) -> None:
        self._choices = [choice for choice, _ in weights]
        self._cumulative = list(accumulate(weight for _, weight in weights))
        self._total = self._cumulative.pop()  # the last choice takes whatever lies above the others

    def at(self, share: float) -> T:
        """Return the choice at `share` (0 to 1) of the total weight."""
        return self._choices[bisect_right(self._cumulative, share * self._total)]


class Chance:
    """A seeded source of random values; every draw advances it."""

    __slots__ = ("_random",)

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random  # noqa: S311 (a repeatable simulation, no secret)

    def happens(self, probability: float) -> bool:
        """Return True with `probability` (0 to 1)."""
        return self._random() < probability

    def share(self) -> float:
        """Return a number from [0, 1), uniform."""
        return self._random()

    def between(self, low: float, high: float) -> int:
        """Return a whole number from [low, high), uniform."""
        return int(low + (high - low) * self._random())

    def mostly_low(self, low: float, high: float) -> int:
        """Return a whole number from [low, high), denser near `low`, as the times that people take are."""
        drawn = self._random()
        return int(low + (high - low) * drawn * drawn)

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of `choices`, all equally likely."""
        return choices[int(self._random() * len(choices))]

    def pick(self, choices: Weighted[T]) -> T:
        """Return one of `choices`, each with the probability of its weight."""
        return choices.at(self._random())

    def uuid(self) -> str:
        """Return a UUID of version 4 as text, in lower case."""
        draw = self._random
        return (
            f"{int(draw() * 0x1_0000_0000):08x}-{int(draw() * 0x1_0000):04x}-4{int(draw() * 0x1000):03x}"
            f"-{0x8000 + int(draw() * 0x4000):04x}-{int(draw() * 0x1_0000_0000_0000):012x}"
        )
