"""What every test needs: assertions that show their values, a time limit, databases of its own."""

import os
import shutil
import tempfile

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


def pytest_configure() -> None:
    """Name the run's folder once; worker processes inherit the name."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="offerlog-tests-")
    os.environ["OFFERLOG_KEYRING"] = f"{os.environ[FOLDER]}/keyring.json"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind; the workers have stopped by now."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)
