"""An archiver that kills itself behind a step; `main` takes the words DSN FOLDER POSITION STEP."""

import os
import signal
import sys
from typing import Any, Final

from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.archive import archiver
from offerlog_infrastructure.postgres.log.application import OfferlogApplication

STEPS: Final = ("write", "raise_epoch", "name_files", "replace_rows")
"""Behind these it is killed: the file, the epoch, all but the commit, and the commit."""


def _kill_behind(owner: Any, name: str) -> None:
    """Let a function be the last thing that this process does."""
    function = getattr(owner, name)

    def run(*args: Any) -> Any:
        result = function(*args)
        os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, run)


def main() -> None:
    """Move cold streams, up to a step."""
    dsn, folder, position, step = sys.argv[1:]
    _kill_behind(archiver if step == "name_files" else archiver.PostgresArchiver, step)
    application = OfferlogApplication(dsn, SCHEMA)
    archiver.PostgresArchiver(application, SystemClock()).move_up_to(int(position), folder, lambda _: None)
