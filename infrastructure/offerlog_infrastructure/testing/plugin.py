"""A pytest plugin: ready services for tests of programs that use offerlog.

The store is an embedded PostgreSQL in a folder of the test run. It starts at the first test that needs it,
once for all worker processes of pytest-xdist, and goes with the run. Each test gets its own organization.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.memory.service import open_in_memory
from offerlog_infrastructure.testing.clock import SettableClock
from offerlog_infrastructure.testing.shared_store import SharedStore

_FOLDER: Final = "offerlog_folder"
"""Under this name a worker process of pytest-xdist is given the run's folder."""

_folder: Final = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder; a worker process is given it."""
    given: str | None = getattr(config, "workerinput", {}).get(_FOLDER)
    # Not in pytest's own folder: the server may have another user, who cannot pass that one.
    folder = Path(given or tempfile.mkdtemp(prefix="offerlog-pytest-"))
    if given is None:
        folder.chmod(0o755)
    config.stash[_folder] = folder


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give the run's folder to a worker process that pytest-xdist is about to start."""
    node.workerinput[_FOLDER] = str(node.config.stash[_folder])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the run's folder where it was made; the workers have ended by now."""
    folder = config.stash.get(_folder, None)
    if folder is not None and _FOLDER not in getattr(config, "workerinput", {}):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def offerlog_store(pytestconfig: pytest.Config) -> Iterator[SharedStore]:
    """The embedded store of the test run."""
    store = SharedStore(pytestconfig.stash[_folder] / "store")
    yield store
    store.close()


@pytest.fixture
def offerlog_clock() -> SettableClock:
    """The clock of the test's service; it stands at the time at which the test began."""
    return SettableClock()


@pytest.fixture
def offerlog_service(offerlog_store: SharedStore, offerlog_clock: SettableClock) -> Iterator[Offerlog]:
    """A ready service on the embedded store, for an organization without any signal."""
    with offerlog_store.open(f"test-{uuid4().hex}", clock=offerlog_clock) as service:
        yield service


@pytest.fixture
def offerlog_in_memory(offerlog_clock: SettableClock) -> Iterator[Offerlog]:
    """A ready service whose log is in memory and goes with the test."""
    with open_in_memory(clock=offerlog_clock) as service:
        yield service
