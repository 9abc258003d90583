"""A mover that kills itself behind a step: python -m support.killed_mover HOME SLICE SHARD STEP."""

import os
import signal
import sys
from typing import Any, Final

from offerlog_infrastructure.installation import Installation
from offerlog_infrastructure.postgres.log.fence import PostgresFence
from offerlog_infrastructure.postgres.shards import move_steps, moving, slice_leave
from offerlog_infrastructure.postgres.shards.moving import SliceMover
from offerlog_infrastructure.postgres.shards.slice_copy import SliceCopy
from support.keyrings import run_keyring

STEPS: Final[dict[str, tuple[Any, str]]] = {
    "stage": (move_steps, "stage"),
    "copy": (SliceCopy, "copy_all"),
    "fence": (move_steps, "fence"),
    "wait": (PostgresFence, "finish"),
    "rest": (SliceCopy, "copy_rest"),
    "all but the commit": (move_steps, "take"),
    "directory": (SliceMover, "_update_directory"),
    "all but the end": (slice_leave, "_try_to_leave"),
    "leave": (moving, "leave"),
}
"""Behind these it is killed."""

BEFORE: Final = {"commit": (SliceMover, "_end")}
"""Before these it is killed."""


def main() -> None:
    """Move a slice, up to a step."""
    home, number, shard, step = sys.argv[1:]
    owner, name = {**STEPS, **BEFORE}[step]
    function = getattr(owner, name)

    def run(*args: Any, **named: Any) -> None:
        if step not in BEFORE:
            function(*args, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, run)
    with Installation(None, home, run_keyring()) as installation:
        installation.move(int(number), int(shard), lambda _: None)


if __name__ == "__main__":
    main()
