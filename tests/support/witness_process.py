"""A witness that runs as a separate process."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from offerlog_domain.transparency.notes import VerifierKey
from support.command_line import COMMAND_ENTRY
from support.preloaded import preloaded
from support.processes import LimitedProcess

ADDRESS: Final = re.compile(r"Witness at (\S+) of shop\.example/offers, until Ctrl-C\n")


@contextmanager
def witness_process(folder: Path, *words: str) -> Iterator[tuple[str, VerifierKey]]:
    """Run the command; yields its address and its public key."""
    command = [*preloaded(COMMAND_ENTRY), "audit", "witness", str(folder), "--port", "0", *words]
    with LimitedProcess(command, stdout=subprocess.PIPE, text=True, seconds=60) as process:
        assert process.stdout is not None
        found = ADDRESS.fullmatch(process.stdout.readline())
        assert found is not None
        key = VerifierKey.parse(process.stdout.readline().strip())
        yield found[1], key
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
