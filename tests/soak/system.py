"""The system under test: an embedded store in a folder, its processes, and what faults may touch of it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from soak.fleet import Fleet
from soak.history import History
from soak.server import Server

COMMAND = str(Path(sys.executable).with_name("offerlog"))


class System(Server):
    """The store, its processes, and the folder of the run.

    Attributes:
        folder: Everything of the run.
        data: The embedded store's folder in it; `Server` has the rest about it. A proxy stands between
            `service-2` and the store.
        keyring: The file with the key of the store.
        environment: What every process of the system is started with.
        history: The nemesis's and the fleet's history.
        fleet: The processes.
        held: Is closed when the run ends: a fault's preparations are undone by callbacks in it.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__(folder / "data")
        self.folder = folder
        self.held = ExitStack()
        self.history = History(folder / "history", "harness")
        self.fleet = Fleet(self.history, seconds)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("OFFERLOG_")}
        tests = str(Path(__file__).parents[1])
        self.keyring = folder / "private" / "keyring.json"
        places = {"OFFERLOG_DATA": str(self.data), "OFFERLOG_KEYRING": str(self.keyring)}
        self.environment = {**plain, **places, "PYTHONPATH": tests, "NO_COLOR": "1"}

    def command(self, *words: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run the command `offerlog` on the store, whatever its exit code.

        Raises:
            subprocess.TimeoutExpired: It took longer; it was killed.
        """
        return subprocess.run(
            [COMMAND, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def module(self, name: str, *words: str) -> Sequence[str]:
        """Return the command that runs a module of the soak as a process."""
        return [sys.executable, "-m", f"soak.{name}", *words]
