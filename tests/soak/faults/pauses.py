"""Processes that stand still for a while: `kill -STOP`, then `kill -CONT`."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Final

from soak.faults import fault
from soak.system import System

_SECONDS: Final = (1.0, 25.0)


@fault("pause service", weight=2, seconds=_SECONDS)
def pause_service(system: System, chance: Random) -> Iterator[str]:
    """Its sessions may be in the middle of a COPY."""
    yield from _paused(system, chance.choice(system.fleet.names("service")))


@fault("pause writer", weight=2, seconds=_SECONDS)
def pause_writer(system: System, _: Random) -> Iterator[str]:
    """It holds the lease on the store, and may own the projections."""
    yield from _paused(system, "writer")


@fault("pause follower", seconds=_SECONDS)
def pause_follower(system: System, _: Random) -> Iterator[str]:
    """Its replica grows old meanwhile."""
    yield from _paused(system, "follower")


@fault("pause guard", seconds=_SECONDS)
def pause_guard(system: System, _: Random) -> Iterator[str]:
    """The server goes on without it."""
    yield from _paused_store(system, "guard", system.guard())


@fault("pause postmaster", seconds=_SECONDS)
def pause_postmaster(system: System, _: Random) -> Iterator[str]:
    """Sessions go on; no new one begins."""
    yield from _paused_store(system, "postmaster", system.postmaster())


def _paused(system: System, name: str) -> Iterator[str]:
    pid = system.fleet.pid(name)
    system.fleet.signal(name, signal.SIGSTOP)
    try:
        yield f"{name} {pid}"
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _paused_store(system: System, name: str, pid: int) -> Iterator[str]:
    system.kill(pid, signal.SIGSTOP)
    try:
        yield f"{name} {pid}"
    finally:
        system.kill(pid, signal.SIGCONT)
