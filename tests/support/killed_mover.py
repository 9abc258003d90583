"""A mover that kills or stops itself at a step: python -m support.killed_mover HOME SLICE SHARD STEP SIGNAL.

One that is stopped goes on, and moves the slice, once it is sent SIGCONT.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from offerlog_infrastructure.installation import Installation
from offerlog_infrastructure.postgres.shards import move_ends, move_steps, slice_leave
from offerlog_infrastructure.postgres.shards.handover import Handover
from offerlog_infrastructure.postgres.shards.move_ends import MoveEnds
from offerlog_infrastructure.postgres.shards.slice_copy import SliceCopy
from support.keyrings import run_keyring
from support.preloaded import preloaded
from support.processes import LimitedProcess

STEPS: Final[dict[str, tuple[Any, str]]] = {
    "stage": (move_steps, "stage"),
    "copy": (SliceCopy, "copy_all"),
    "approach": (Handover, "approach"),
    "fence": (Handover, "fence"),
    "directory": (MoveEnds, "update_directory"),
    "all but the end": (slice_leave, "_try_to_leave"),
    "leave": (move_ends, "leave"),
    "all but the note": (move_steps, "forget_arrival"),
}
"""Behind these it is killed or stopped."""

BEFORE: Final = {"commit": (MoveEnds, "end")}
"""Before these it is killed or stopped."""


_SECONDS: Final = 120


def start_mover(home: str, number: int, shard: int, step: str, sent: signal.Signals) -> LimitedProcess:
    """Start a mover that sends itself a signal at a step.

    It is a separate program if it stops itself: a fork could not be told to go on.
    """
    program = [sys.executable, "-m", "support.killed_mover"]
    if sent is signal.SIGKILL:
        program = preloaded("support.killed_mover:main")
    return LimitedProcess(
        [*program, home, str(number), str(shard), step, sent.name],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        seconds=_SECONDS,
    )


def kill_mover(home: str, number: int, shard: int, step: str) -> None:
    """Let a mover kill itself at a step."""
    with start_mover(home, number, shard, step, signal.SIGKILL) as mover:
        try:
            _, errors = mover.communicate(timeout=_SECONDS)
        finally:
            mover.kill()
    assert mover.returncode == -signal.SIGKILL, errors


def main() -> None:
    """Move a slice, up to a step."""
    home, number, shard, step, name_of_signal = sys.argv[1:]
    owner, name = {**STEPS, **BEFORE}[step]
    function = getattr(owner, name)

    def run(*args: Any, **named: Any) -> Any:
        if step in BEFORE:
            os.kill(os.getpid(), signal.Signals[name_of_signal])
            return function(*args, **named)
        result = function(*args, **named)
        os.kill(os.getpid(), signal.Signals[name_of_signal])
        return result

    setattr(owner, name, run)
    with Installation(None, home, run_keyring()) as installation:
        installation.move(int(number), int(shard), lambda _: None)


if __name__ == "__main__":
    main()
