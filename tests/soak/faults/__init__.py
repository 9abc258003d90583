"""The faults that the nemesis chooses from: every module of this package adds its own.

A fault is a generator function. What stands before its `yield` injects; it yields the target in words; what
stands behind it heals::

    @fault("SIGSTOP of a service", weight=2, seconds=(1, 25))
    def pause_service(system: System, chance: Random) -> Iterator[str]:
        name = chance.choice(system.fleet.names("service"))
        system.fleet.signal(name, signal.SIGSTOP)
        yield name
        system.fleet.signal(name, signal.SIGCONT)

All choices come from `chance`, so that a seed repeats them. Healing must work whatever has happened to the
target meanwhile: another fault may be active at the same time. A module is found by lying here.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from soak.server import CannotInjectError
from soak.system import System

__all__ = ["FAULTS", "CannotInjectError", "Fault", "choose", "fault", "load"]

Run = Callable[[System, Random], Iterator[str]]


def _prepare_nothing(_: System) -> str | None:
    return None


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: As the report and `ONLY=` have it.
        weight: How often it comes, relative to the others.
        seconds: The shortest and the longest time from injecting to healing.
        run: Injects, yields the target in words, heals.
        prepare: Is called before the store is first started, if this fault may come in the run: to set
            variables in `system.environment`, or to mount something at `system.data`. It returns why this
            machine does not permit the fault, or None.
        alone: Whether no other fault comes while it lasts, as the injection itself could wait for its end.
    """

    name: str
    weight: int
    seconds: tuple[float, float]
    run: Run
    prepare: Callable[[System], str | None] = _prepare_nothing
    alone: bool = False


FAULTS: Final[dict[str, Fault]] = {}
"""All faults by name, once `load` has been called."""


def fault(
    name: str,
    *,
    weight: int = 1,
    seconds: tuple[float, float] = (0.0, 0.0),
    prepare: Callable[[System], str | None] = _prepare_nothing,
    alone: bool = False,
) -> Callable[[Run], Run]:
    """Add a fault to the registry.

    Raises:
        ValueError: The name is taken.
    """

    def add(run: Run) -> Run:
        if name in FAULTS:
            raise ValueError(f"there are two faults {name!r}")
        FAULTS[name] = Fault(name, weight, seconds, run, prepare, alone)
        return run

    return add


def load(only: Sequence[str] = ()) -> list[Fault]:
    """Import all modules of this package; returns the faults that these words name.

    Args:
        only: Names, or parts of names, each for all faults that have it; none for all faults.

    Raises:
        ValueError: One of the words is in no name.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return choose(FAULTS, only)


def choose(faults: Mapping[str, Fault], only: Sequence[str]) -> list[Fault]:
    """Return the faults that these words name; see `load`.

    Raises:
        ValueError: One of the words is in no name.
    """
    chosen: set[str] = set()
    for word in only:
        named = {word} & faults.keys() or {name for name in faults if word in name}
        if not named:
            raise ValueError(f"no fault has {word!r} in its name; there are: {', '.join(sorted(faults))}")
        chosen |= named
    return [one for name, one in sorted(faults.items()) if not only or name in chosen]
