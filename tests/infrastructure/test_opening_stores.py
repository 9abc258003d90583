"""Opening a store: what is made and what is not, and which folders are refused."""

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer, errors
from offerlog_infrastructure.store_missing import StoreMissingError

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's own user can pass."""
    with tempfile.TemporaryDirectory(prefix="opening-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("missing", ["typo", "typo/deeper", "empty"])
def test_a_store_that_is_not_there_is_an_error_and_nothing_is_made(folder: Path, missing: str) -> None:
    """A mistyped folder is not answered from a new and empty log."""
    (folder / "empty").mkdir()
    before = sorted(folder.rglob("*"))
    with pytest.raises(StoreMissingError) as raised:
        open_offerlog(data=folder / missing, create=False)
    assert raised.value.where == str(folder / missing)
    assert str(folder / missing) in str(raised.value)
    assert sorted(folder.rglob("*")) == before


def test_an_existing_store_is_opened_without_making_one(folder: Path) -> None:
    """The answer is the same whether it might have been made or not."""
    with open_offerlog(data=folder / "data") as made:
        position = made.position()
    with open_offerlog(data=folder / "data", create=False) as opened:
        assert opened.position() == position


def test_a_store_that_another_process_is_making_is_waited_for(folder: Path) -> None:
    """Two commands at once on a new machine: the one that only reads joins the one that makes the store."""
    making = threading.Thread(target=lambda: EmbeddedServer.acquire(folder / "data").close())
    making.start()
    try:
        while (
            not (folder / "data" / "guard.lock").exists()
            or not (folder / "data" / "guard.lock").stat().st_size
        ):
            assert making.is_alive()
        EmbeddedServer.acquire(folder / "data", create=False).close()
    finally:
        making.join(60)


def test_a_database_without_a_store_is_an_error_and_gets_no_schema(server: str, dsn: str) -> None:
    """The same holds for a server of the operator's own; a store in it is opened."""
    with open_offerlog(database_url=dsn, create=False, keep_deadlines=False) as service:
        assert service.position() == 0
    with pytest.raises(StoreMissingError) as raised:
        open_offerlog(database_url=server, create=False)
    parts = conninfo_to_dict(server)
    assert repr(parts["dbname"]) in raised.value.where
    assert str(parts["password"]) not in str(raised.value)
    with psycopg.connect(server) as connection:
        found = connection.execute("SELECT FROM pg_namespace WHERE nspname = 'offerlog'").fetchone()
    assert found is None


def test_a_folder_that_holds_other_files_gets_no_store(folder: Path) -> None:
    """A checkout of some project is not filled with a database."""
    subprocess.run(["git", "init", "-q", folder], check=True, timeout=30)
    (folder / "README.md").write_text("a project")
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(errors.ForeignFolderError, match=r"\.git, README\.md") as raised:
        open_offerlog(data=folder)
    assert "offerlog-data" in str(raised.value)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_leftovers_of_a_first_start_and_of_the_system_are_no_obstacle(folder: Path) -> None:
    """A mounted disk has a folder on it already; a killed first start left half a database."""
    for name in ("lost+found", "postgres.new-123", "socket"):
        (folder / "data" / name).mkdir(parents=True)
    (folder / "data" / "server.log").write_text("")
    (folder / "data" / "lease.lock").write_text("")
    (folder / "data" / "socket").rmdir()
    EmbeddedServer.acquire(folder / "data").close()
    assert (folder / "data" / "postgres").is_dir()


@pytest.mark.parametrize("mode", [0o777, 0o1757])
def test_a_folder_that_everybody_can_write_to_is_refused(folder: Path, mode: int) -> None:
    """They could put another database and another password there; so also where a store exists already."""
    data = folder / "data"
    data.mkdir()
    data.chmod(mode)
    with pytest.raises(errors.FolderNotPrivateError, match="chmod go-w") as raised:
        open_offerlog(data=data)
    assert str(data) in str(raised.value)
    assert list(data.iterdir()) == []
    (data / "postgres").mkdir()
    with pytest.raises(errors.FolderNotPrivateError, match="everybody may write to it"):
        open_offerlog(data=data, create=False)


@only_root
def test_a_folder_that_a_shared_group_can_write_to_is_refused(folder: Path) -> None:
    """Unless the group is the owner's own: many systems make new folders writable for that."""
    data = folder / "data"
    data.mkdir()
    os.chown(data, 0, 100)
    data.chmod(0o775)
    with pytest.raises(errors.FolderNotPrivateError, match="the group"):
        EmbeddedServer.acquire(data)
    os.chown(data, 0, 0)
    EmbeddedServer.acquire(data).close()


@only_root
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    """Its owner could replace what is in it."""
    data = folder / "data"
    data.mkdir()
    os.chown(data, 12345, 12345)
    with pytest.raises(errors.FolderUnusableError, match="it belongs to user '12345', not to you"):
        open_offerlog(data=data)
    assert list(data.iterdir()) == []
