"""Everything random, drawn from `random.Random.random()` alone.

Its sequence is the only one that Python promises to keep; `math` is avoided too, for the last digit
of its functions is the platform's.
"""

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

T = TypeVar("T")


class Weighted(Generic[T]):
    """Choices with their weights, which need not sum to 1."""

    __slots__ = ("_choices", "_cumulative", "_total")

    def __init__(self, weights: Sequence[tuple[T, float]]) -> None:
        self._choices = [choice for choice, _ in weights]
        self._cumulative = list(accumulate(weight for _, weight in weights))
        self._total = self._cumulative.pop()  # the last choice takes whatever lies above the others

    def at(self, share: float) -> T:
        """The choice at `share` (0 to 1) of the total weight."""
        return self._choices[bisect_right(self._cumulative, share * self._total)]


class Chance:
    """One seeded source of chance; every draw advances it."""

    __slots__ = ("_random",)

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random  # noqa: S311 (a repeatable simulation, no secret)

    def happens(self, probability: float) -> bool:
        """True with `probability` (0 to 1)."""
        return self._random() < probability

    def share(self) -> float:
        """Uniform in [0, 1)."""
        return self._random()

    def between(self, low: float, high: float) -> int:
        """A whole number from [low, high), uniform."""
        return int(low + (high - low) * self._random())

    def mostly_low(self, low: float, high: float) -> int:
        """A whole number from [low, high), denser near `low`: how long people take."""
        drawn = self._random()
        return int(low + (high - low) * drawn * drawn)

    def one_of(self, choices: Sequence[T]) -> T:
        """One of `choices`, each as likely."""
        return choices[int(self._random() * len(choices))]

    def pick(self, choices: Weighted[T]) -> T:
        """One of `choices`, as likely as its weight."""
        return choices.at(self._random())

    def uuid(self) -> str:
        """A UUID of version 4 as text, in lower case."""
        draw = self._random
        return (
            f"{int(draw() * 0x1_0000_0000):08x}-{int(draw() * 0x1_0000):04x}-4{int(draw() * 0x1000):03x}"
            f"-{0x8000 + int(draw() * 0x4000):04x}-{int(draw() * 0x1_0000_0000_0000):012x}"
        )
