"""The network between `service-2` and the store."""

from collections.abc import Iterator
from random import Random

from soak.faults import fault
from soak.system import System
from support.proxy import Proxy


@fault("cut connections", weight=2)
def cut(system: System, chance: Random) -> Iterator[str]:
    """End all of them, several times in a row."""
    times = chance.randint(1, 3)
    for _ in range(times):
        _proxy(system).cut()
    yield f"all connections of service-2, {times} times"


@fault("refuse connections", seconds=(1.0, 10.0))
def refuse(system: System, _: Random) -> Iterator[str]:
    """End all of them and refuse new ones."""
    _proxy(system).go_away()
    try:
        yield "service-2"
    finally:
        _proxy(system).come_back()


@fault("swallow bytes", seconds=(3.0, 25.0))
def swallow(system: System, _: Random) -> Iterator[str]:
    """Half-open connections: bytes are taken and passed on to nobody, and nothing ends."""
    _proxy(system).swallow()
    try:
        yield "service-2"
    finally:
        _proxy(system).pass_on()


def _proxy(system: System) -> Proxy:
    assert system.proxy is not None
    return system.proxy
