"""What happens to the mover, to the servers of a move, and to a service that does not hear of it."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from typing import Any, Final

import psycopg

from soak.faults import Fault
from soak.history import VIOLATION
from soak.server import CannotInjectError
from soak.shards.system import HOME, ShardedSystem, kill_server
from soak.system import System

_SELECT_MOVE: Final = "SELECT step, slice, source, target FROM slice_moves WHERE step = ANY(%s)"
_SELECT_SHARD: Final = "SELECT shard FROM directory WHERE slice = %s"

_STEPS: Final = (["copying"], ["comparing"], ["fenced"], ["leaving"], ["comparing", "fenced", "leaving"])
"""What a fault waits for: the steps that a mover notes at the home."""

_AWAY_SECONDS: Final = (0.5, 6.0)
_STEP_SECONDS: Final = 20.0
_MOVED_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.005


def _await_move(system: ShardedSystem, chance: Random) -> tuple[str, int, int, int]:
    """Wait until a move is at a step that chance draws, and for a moment more.

    Returns:
        The step, the slice, its source and its target.

    Raises:
        CannotInjectError: No move came there.
        psycopg.Error: The home cannot be reached now.
    """
    steps, moment = chance.choice(_STEPS), chance.choice((0.0, chance.uniform(0.0, 0.15)))
    until = time.monotonic() + _STEP_SECONDS
    while time.monotonic() < until:
        if found := system.servers[HOME].sql(_SELECT_MOVE, steps):
            time.sleep(moment)
            step, number, source, target = found[0]
            return step, number, source, target
        time.sleep(_LOOK_SECONDS)
    raise CannotInjectError("no move came to that step")


def _kill_mover(system: System, chance: Random) -> Iterator[str]:
    """`kill -9` at a step of the move."""
    assert isinstance(system, ShardedSystem)
    step, number, source, target = _await_move(system, chance)
    pid = _send(system, signal.SIGKILL)
    yield f"mover {pid}, slice {number:x} from shard {source} to {target}, {step}"


def _pause_mover(system: System, chance: Random) -> Iterator[str]:
    """It stands still at a step, and goes on afterwards."""
    assert isinstance(system, ShardedSystem)
    step, number, source, target = _await_move(system, chance)
    pid = _send(system, signal.SIGSTOP)
    try:
        yield f"mover {pid}, slice {number:x} from shard {source} to {target}, {step}"
    finally:
        _go_on(system)


def _undo_move(system: System, chance: Random) -> Iterator[str]:
    """It stands still at a step; another command undoes the move, or ends it; then it goes on."""
    assert isinstance(system, ShardedSystem)
    step, number, source, target = _await_move(system, chance)
    pid = _send(system, signal.SIGSTOP)
    try:
        code = _undo(system, number)
        yield f"mover {pid}, slice {number:x} from shard {source} to {target}, {step}: code {code}"
    finally:
        _go_on(system)


def _undo(system: ShardedSystem, number: int) -> int | None:
    """Run the command that undoes a move; returns its exit code, or None if it does not end."""
    try:
        run = system.command("shards", "move", f"{number:x}", "--undo")
    except subprocess.TimeoutExpired as error:
        system.history.write(VIOLATION, check="moves", what=f"undoing a move of slice {number:x}: {error}")
        return None
    if "Traceback" in run.stderr:
        what = f"undoing a move of slice {number:x}: {run.stderr[-1_000:]}"
        system.history.write(VIOLATION, check="moves", what=what)
    return run.returncode


def _send(system: ShardedSystem, number: signal.Signals) -> int:
    pid = system.signal_mover(number)
    if pid is None:
        raise CannotInjectError("no command moves a slice now")
    return pid


def _go_on(system: ShardedSystem) -> None:
    system.signal_mover(signal.SIGCONT)


def _kill_a_server_of(
    role: str, choose: Callable[[int, int], int]
) -> Callable[[System, Random], Iterator[str]]:
    def run(system: System, chance: Random) -> Iterator[str]:
        assert isinstance(system, ShardedSystem)
        step, moving, source, target = _await_move(system, chance)
        number = choose(source, target)
        with system.hurt(number):
            hurting = kill_server(system, number)
            words = next(hurting)
            yield f"shard {number}, {role} of slice {moving:x}, {step}: {words}"
            with suppress(StopIteration):
                next(hurting)

    return run


def _stale_service(system: System, chance: Random) -> Iterator[str]:
    """It stands still while a slice changes hands, and goes on with the directory that it had."""
    assert isinstance(system, ShardedSystem)
    name = chance.choice(system.fleet.names("service"))
    _, number, source, target = _await_move(system, chance)
    with system.stopped(name):
        yield f"{name}, slice {number:x} from shard {source} to {target}"
        until = time.monotonic() + _MOVED_SECONDS
        while time.monotonic() < until and _shard_of(system, number) != target:
            time.sleep(0.05)


def _shard_of(system: ShardedSystem, number: int) -> Any:
    try:
        ((shard,),) = system.servers[HOME].sql(_SELECT_SHARD, number)
    except psycopg.Error:
        return None
    return shard


MOVE_FAULTS: Final = [
    Fault("kill -9 mover", 4, (0.0, 0.0), _kill_mover),
    Fault("pause mover", 1, _AWAY_SECONDS, _pause_mover),
    Fault("undo a move", 1, (0.0, 0.0), _undo_move),
    Fault(
        "kill -9 source of a move", 2, _AWAY_SECONDS, _kill_a_server_of("source", lambda source, _: source)
    ),
    Fault(
        "kill -9 target of a move", 2, _AWAY_SECONDS, _kill_a_server_of("target", lambda _, target: target)
    ),
    Fault("kill -9 home of a move", 1, _AWAY_SECONDS, _kill_a_server_of("home", lambda *_: HOME)),
    Fault("stale service", 2, (0.0, 3.0), _stale_service),
]
"""Slices move in a run that has one of these."""
