"""What happens to one of the servers, or to a service over all of them."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from random import Random
from typing import Final

from soak.faults import Fault, choose
from soak.faults.kills import end_service, kill_service
from soak.server import CannotInjectError
from soak.shards.archives import ARCHIVE_FAULTS
from soak.shards.move_faults import MOVE_FAULTS
from soak.shards.system import ShardedSystem, kill_server
from soak.system import System

_SECONDS: Final = (1.5, 20.0)


def _pause_server(system: ShardedSystem, number: int) -> Iterator[str]:
    """The postmaster and all its sessions: connections stay, and nobody answers."""
    server = system.servers[number]
    found = [server.postmaster(), *server.backends()]
    for pid in found:
        server.kill(pid, signal.SIGSTOP)
    try:
        yield f"postmaster {found[0]} and {len(found) - 1} sessions"
    finally:
        for pid in found:
            server.kill(pid, signal.SIGCONT)


def _pause_postmaster(system: ShardedSystem, number: int) -> Iterator[str]:
    """Sessions go on; no new one begins."""
    server = system.servers[number]
    pid = server.postmaster()
    server.kill(pid, signal.SIGSTOP)
    try:
        yield f"postmaster {pid}"
    finally:
        server.kill(pid, signal.SIGCONT)


def _cut(system: ShardedSystem, number: int) -> Iterator[str]:
    """End all connections; new ones are welcome."""
    system.proxies[number].cut()
    yield "all connections"


def _refuse(system: ShardedSystem, number: int) -> Iterator[str]:
    """End all connections and refuse new ones."""
    system.proxies[number].go_away()
    try:
        yield "all connections"
    finally:
        system.proxies[number].come_back()


def _swallow(system: ShardedSystem, number: int) -> Iterator[str]:
    """Half-open connections: bytes are taken and passed on to nobody, and nothing ends."""
    system.proxies[number].swallow()
    try:
        yield "all connections"
    finally:
        system.proxies[number].pass_on()


def _kill_backend(system: ShardedSystem, number: int) -> Iterator[str]:
    """PostgreSQL ends all sessions, as shared memory may be damaged; the guard starts it again."""
    server = system.servers[number]
    backends = server.backends()
    if not backends:
        raise CannotInjectError("the server has no sessions now")
    server.kill(backends[0], signal.SIGKILL)
    yield f"backend {backends[0]}"


def _pause_service(system: System, chance: Random) -> Iterator[str]:
    """Its sessions may be in the middle of a COPY."""
    assert isinstance(system, ShardedSystem)
    name = chance.choice(system.fleet.names("service"))
    with system.stopped(name):
        yield name


def _of_any_server(
    name: str, hurt: Callable[[ShardedSystem, int], Iterator[str]], seconds: tuple[float, float], weight: int
) -> Fault:
    """Make the fault that hurts a server that chance draws."""

    def run(system: System, chance: Random) -> Iterator[str]:
        assert isinstance(system, ShardedSystem)
        number = chance.randrange(len(system.servers))
        with system.hurt(number):
            hurting = hurt(system, number)
            yield f"shard {number}: {next(hurting)}"
            with suppress(StopIteration):
                next(hurting)

    return Fault(name, weight, seconds, run)


_FAULTS: Final = [
    _of_any_server("kill -9 server", kill_server, _SECONDS, 3),
    _of_any_server("pause server", _pause_server, _SECONDS, 2),
    _of_any_server("pause postmaster", _pause_postmaster, _SECONDS, 1),
    _of_any_server("cut connections", _cut, (0.0, 0.0), 2),
    _of_any_server("refuse connections", _refuse, _SECONDS, 1),
    _of_any_server("swallow bytes", _swallow, _SECONDS, 1),
    _of_any_server("kill -9 backend", _kill_backend, (0.0, 0.0), 1),
    Fault("kill -9 service", 3, (0.0, 0.0), kill_service),
    Fault("SIGTERM service", 1, (0.0, 0.0), end_service),
    Fault("pause service", 1, _SECONDS, _pause_service),
    *MOVE_FAULTS,
    *ARCHIVE_FAULTS,
]


def load(only: Sequence[str] = ()) -> list[Fault]:
    """Return the faults that these words name; all of them without any.

    Raises:
        ValueError: One of the words is in no name.
    """
    return choose({one.name: one for one in _FAULTS}, only)
