"""Crowds of clients that take much time and give nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from soak.crowd import KINDS
from soak.faults import CannotInjectError, fault
from soak.system import System
from support.processes import LimitedProcess

_LONGEST_SECONDS = 60


def _port(system: System, name: str) -> str:
    """The port of a service, from its command line."""
    try:
        words = Path(f"/proc/{system.fleet.pid(name)}/cmdline").read_bytes().split(b"\0")
        return words[words.index(b"--port") + 1].decode()
    except (OSError, ValueError) as error:
        raise CannotInjectError(f"{name} does not run now") from error


def _crowd(system: System, chance: Random, **numbers: int) -> Iterator[str]:
    name = chance.choice(system.fleet.names("service"))
    asked = [word for kind in KINDS for word in (f"--{kind}", str(numbers.get(kind, 0)))]
    with LimitedProcess(
        [sys.executable, "-m", "soak.crowd", _port(system, name), str(_LONGEST_SECONDS), *asked],
        env=system.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        seconds=_LONGEST_SECONDS + 10.0,
    ) as crowd:
        try:
            yield f"{name}: {', '.join(f'{number} {kind}' for kind, number in numbers.items())}"
        finally:
            crowd.kill()


@fault("slow clients", seconds=(5.0, 25.0))
def slow(system: System, chance: Random) -> Iterator[str]:
    """Some send a byte a second, some read nothing; they come again as soon as they are let go."""
    yield from _crowd(system, chance, slow=300, deaf=100)


@fault("thousands of connections", seconds=(5.0, 25.0))
def many(system: System, chance: Random) -> Iterator[str]:
    """Most of them silent, some with a question now and then."""
    yield from _crowd(system, chance, silent=2_000, kept=1_000)
