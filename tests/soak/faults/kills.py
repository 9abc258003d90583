"""Processes that end without warning, and processes that are asked to end."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

from soak.faults import CannotInjectError, fault
from soak.system import COMMAND, System
from support.processes import LimitedProcess


@fault("kill -9 service", weight=2)
def kill_service(system: System, chance: Random) -> Iterator[str]:
    """The fleet starts another one by itself."""
    name = chance.choice(system.fleet.names("service"))
    system.fleet.signal(name, signal.SIGKILL)
    yield name


@fault("kill -9 writer", weight=2)
def kill_writer(system: System, _: Random) -> Iterator[str]:
    """What it had not been answered is unknown for ever: it knows nothing of it when it comes again."""
    system.fleet.signal("writer", signal.SIGKILL)
    yield "writer"


@fault("kill -9 follower")
def kill_follower(system: System, _: Random) -> Iterator[str]:
    """Its replica goes on from the file, its tail from the last position that it wrote down."""
    system.fleet.signal("follower", signal.SIGKILL)
    yield "follower"


@fault("SIGTERM service")
def end_service(system: System, chance: Random) -> Iterator[str]:
    """It answers what is in flight first."""
    name = chance.choice(system.fleet.names("service"))
    system.fleet.signal(name, signal.SIGTERM)
    yield name


@fault("kill -9 command record")
def kill_command(system: System, _: Random) -> Iterator[str]:
    """In the middle of a file; the outcomes it has written out are acknowledged."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for pid in _children(b"record"):
            system.kill(pid, signal.SIGKILL)
            yield f"record {pid}"
            return
        time.sleep(0.02)
    raise CannotInjectError("no command is recording now")


@fault("kill -9 rebuild", seconds=(0.2, 3.0))
def kill_rebuild(system: System, chance: Random) -> Iterator[str]:
    """With its workers; nothing of it is left behind, and the next one is not hindered."""
    name = chance.choice(("current_state", "suppression", "performance"))
    with LimitedProcess(
        [COMMAND, "projections", "rebuild", name],
        env=system.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as rebuild:
        try:
            yield f"rebuild of {name}, process {rebuild.pid}"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(rebuild.pid, signal.SIGKILL)


def _signalled(system: System, number: signal.Signals, **processes: int) -> str:
    """Send a signal to processes of the store; returns their names and numbers."""
    for process in processes.values():
        system.kill(process, number)
    return ", ".join(f"{name} {process}" for name, process in processes.items())


@fault("kill -9 postmaster", weight=2)
def kill_postmaster(system: System, _: Random) -> Iterator[str]:
    """Its backends notice and end; the guard starts it again."""
    yield _signalled(system, signal.SIGKILL, postmaster=system.postmaster())


@fault("SIGQUIT postmaster")
def quit_postmaster(system: System, _: Random) -> Iterator[str]:
    """An immediate stop: nothing is written out, the next start recovers."""
    yield _signalled(system, signal.SIGQUIT, postmaster=system.postmaster())


@fault("kill -9 guard", weight=2)
def kill_guard(system: System, _: Random) -> Iterator[str]:
    """The kernel ends the server with it; a holder of a lease starts both again."""
    yield _signalled(system, signal.SIGKILL, guard=system.guard())


@fault("SIGTERM guard")
def end_guard(system: System, _: Random) -> Iterator[str]:
    """It stops its server; a holder of a lease starts both again."""
    yield _signalled(system, signal.SIGTERM, guard=system.guard())


@fault("kill -9 guard and postmaster")
def kill_guard_and_postmaster(system: System, _: Random) -> Iterator[str]:
    """Both at once."""
    yield _signalled(system, signal.SIGKILL, guard=system.guard(), postmaster=system.postmaster())


@fault("kill -9 backend", weight=2)
def kill_backend(system: System, chance: Random) -> Iterator[str]:
    """PostgreSQL ends all sessions and recovers, as shared memory may be damaged."""
    backends = system.backends()
    if not backends:
        raise CannotInjectError("the server has no sessions now")
    pid = chance.choice(backends)
    system.kill(pid, signal.SIGKILL)
    yield f"backend {pid}"


@fault("kill -9 everything")
def kill_everything(system: System, _: Random) -> Iterator[str]:
    """Services, writer, follower, commands, guard, server and its sessions, as when a machine crashes."""
    store = [*system.backends(), system.postmaster(), system.guard()]
    for name in system.fleet.names():
        system.fleet.signal(name, signal.SIGKILL)
    for pid in [*store, *_children(b"record")]:
        system.kill(pid, signal.SIGKILL)
    yield f"{len(store)} processes of the store, {len(system.fleet.names())} others"


def _children(word: bytes) -> list[int]:
    """List the commands `offerlog` that this process runs now with this word."""
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        for child in (thread / "children").read_text(encoding="ascii").split():
            with suppress(OSError):
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                if COMMAND.encode() in words and word in words:
                    found.append(int(child))
    return found
