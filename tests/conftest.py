"""What every test needs: assertions that show their values, a time limit, its own databases."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

pytest.register_assert_rewrite("support")  # before any import from there
pytest_plugins = [
    "support.time_limits",
    "support.databases",
    "support.keyrings",
    "support.file_order",
    "support.process_costs",
]

FOLDER = "OFFERLOG_TEST_FOLDER"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of the run's own is made in it
ROOM = 6 << 30
"""Bytes that must be free there: a whole run needs less than half of them."""


def _place() -> str | None:
    """Return where the run's folder goes: into memory, if there is room.

    A database is made and dropped in a tenth of the time there, and most tests have their own one.
    """
    try:
        memory = os.statvfs(MEMORY)
        state = Path("/proc/meminfo").read_text()
    except OSError:  # another system than Linux
        return None
    available = int(state.partition("MemAvailable:")[2].split()[0]) << 10
    fits = min(memory.f_bavail * memory.f_frsize, available) > ROOM
    return str(MEMORY) if fits and not memory.f_flag & os.ST_NOEXEC else None


def pytest_configure() -> None:
    """Name the run's folder once; worker processes inherit the name."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="offerlog-tests-", dir=_place())
    os.environ["OFFERLOG_KEYRING"] = f"{os.environ[FOLDER]}/keyring.json"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind; the workers have stopped by now."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)
