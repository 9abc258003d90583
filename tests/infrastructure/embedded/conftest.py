"""Data folders for the tests of the embedded PostgreSQL."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.embedded_place import Place
from support.ready_stores import put_store


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can pass; pytest's own are closed to the server's user when we are root."""
    path = Path(tempfile.mkdtemp(prefix="embedded-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def new_place(folder: Path) -> Iterator[Place]:
    """A place with no data folder yet; at the end nothing may be left running in it."""
    place = Place(folder / "data")
    yield place
    left = place.running()
    place.clean()
    assert left == [], "something was left running"


@pytest.fixture(scope="session")
def finished() -> Iterator[Path]:
    """Where a data folder waits that has a database already, once a test has left one."""
    path = Path(tempfile.mkdtemp(prefix="embedded-finished-", dir="/tmp"))
    path.chmod(0o755)
    yield path / "data"
    shutil.rmtree(path)


@pytest.fixture
def place(new_place: Place, finished: Path) -> Iterator[Place]:
    """A place whose database has been made already, and is handed on: making one takes a second."""
    if finished.exists():
        finished.rename(new_place.path)
    else:
        put_store(new_place.path)
    yield new_place
    if new_place.stopped():
        new_place.path.rename(finished)
