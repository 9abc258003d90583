"""A pytest plugin: one keyring for all stores of the test run; no test may use the user's own."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from offerlog_infrastructure.keyring.file_keyring import FileKeyring, default_keyring

KEYRING: Final = "OFFERLOG_KEYRING"
"""The environment variable that names the keyring."""

_before: Final = pytest.StashKey[tuple[int, ...] | None]()


def keyring_variable() -> Mapping[str, str]:
    """Return the variable for a process that inherits no other one of this environment."""
    return {KEYRING: os.environ[KEYRING]}


def run_keyring() -> FileKeyring:
    """Return the keyring of the test run."""
    return FileKeyring(Path(os.environ[KEYRING]))


def pytest_configure(config: pytest.Config) -> None:
    """Remember the keyring of the user who runs the tests."""
    config.stash[_before] = _state_of(default_keyring())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a test has made or changed that keyring, or made an audit key for all other tests.

    Raises:
        pytest.UsageError: One has.
    """
    if _state_of(default_keyring()) != session.config.stash[_before]:
        raise pytest.UsageError(f"a test has used {default_keyring()}: set {KEYRING} in its environment")
    keys = sorted(Path(os.environ[KEYRING]).parent.glob("audit*"))
    if keys:  # beside the keyring is its usual place
        raise pytest.UsageError(f"a test has made {keys}: set OFFERLOG_AUDIT_KEY in its environment")


def _state_of(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
