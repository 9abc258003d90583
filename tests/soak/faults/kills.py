"""Processes that end without warning, and processes that are asked to end."""

import signal
from collections.abc import Iterator
from random import Random

from soak.faults import CannotInjectError, fault
from soak.system import System


@fault("kill -9 service", weight=2)
def kill_service(system: System, chance: Random) -> Iterator[str]:
    """The fleet starts another one by itself."""
    name = chance.choice(system.fleet.names("service"))
    system.fleet.signal(name, signal.SIGKILL)
    yield name


@fault("kill -9 postmaster", weight=2)
def kill_postmaster(system: System, _: Random) -> Iterator[str]:
    """Its backends notice and end; the guard starts it again."""
    pid = system.postmaster()
    system.kill(pid, signal.SIGKILL)
    yield f"postmaster {pid}"


@fault("kill -9 guard", weight=2)
def kill_guard(system: System, _: Random) -> Iterator[str]:
    """The kernel ends the server with it; a holder of a lease starts both again."""
    pid = system.guard()
    system.kill(pid, signal.SIGKILL)
    yield f"guard {pid}"


@fault("kill -9 backend", weight=2)
def kill_backend(system: System, chance: Random) -> Iterator[str]:
    """PostgreSQL ends all sessions and recovers, as shared memory may be damaged."""
    backends = system.backends()
    if not backends:
        raise CannotInjectError("the server has no sessions now")
    pid = chance.choice(backends)
    system.kill(pid, signal.SIGKILL)
    yield f"backend {pid}"
