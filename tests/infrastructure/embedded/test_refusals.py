"""Why the embedded PostgreSQL does not start: each refusal says what is wrong, and breaks nothing."""

import signal
import subprocess
from pathlib import Path

import pytest

from offerlog_infrastructure.embedded import EmbeddedError, EmbeddedServer, errors, locks
from offerlog_infrastructure.embedded.binaries import find_binaries
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.embedded.socket_folder import socket_folder
from offerlog_infrastructure.embedded.staging import executable_bindir
from support.embedded_place import Place, rows, until
from support.processes import LimitedProcess


def test_a_file_in_place_of_the_folder_is_refused(folder: Path) -> None:
    """The message names it."""
    (folder / "data").write_text("not a folder")
    with pytest.raises(errors.FolderUnusableError, match=str(folder / "data")):
        EmbeddedServer.acquire(folder / "data")


def test_a_folder_without_programs_is_refused_not_passed_over(
    place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who names a PostgreSQL means that one."""
    with pytest.raises(errors.BinariesMissingError, match=str(folder)):
        EmbeddedServer.acquire(place.path, bindir=folder)
    monkeypatch.setenv("PG_BINDIR", str(folder / "elsewhere"))
    with pytest.raises(EmbeddedError, match="elsewhere"):
        EmbeddedServer.acquire(place.path)


def test_a_database_of_another_major_version_is_refused(place: Place) -> None:
    """PostgreSQL cannot open it, and the message says which one can."""
    stated = place.path / "postgres" / "PG_VERSION"
    true = stated.read_text()
    stated.write_text("14\n")
    with pytest.raises(errors.VersionMismatchError) as raised:
        EmbeddedServer.acquire(place.path)
    assert (raised.value.made_by, raised.value.programs) == (14, int(true))
    stated.write_text(true)


def test_what_postgresql_says_reaches_the_user(place: Place) -> None:
    """A setting it does not know is quoted from its log, which is the first thing one would look for."""
    conf = place.path / "postgres" / "postgresql.conf"
    right = conf.read_text()
    conf.write_text(f"{right}\nno_such_setting = 1\n")
    with pytest.raises(errors.ServerNotStartedError, match=r"configuration file .* contains errors"):
        EmbeddedServer.acquire(place.path)
    assert place.stopped()
    conf.write_text(right)


def test_a_socket_folder_that_others_can_enter_is_refused(place: Place, folder: Path) -> None:
    """In /tmp anybody can be there first."""
    path = place.path.rename(folder / ("x" * 100))
    socket_dir = socket_folder(path, ServerUser.of(path / "postgres"))
    socket_dir.mkdir()
    socket_dir.chmod(0o777)
    try:
        with pytest.raises(errors.SocketFolderUnsafeError, match=str(socket_dir)):
            EmbeddedServer.acquire(path)
    finally:
        socket_dir.rmdir()
        path.rename(place.path)


def test_a_lock_that_is_not_let_go_is_named(folder: Path) -> None:
    """Waiting has an end."""
    with locks.held(folder / "start.lock", timeout=1), pytest.raises(errors.LockTimeoutError) as raised:
        locks.take(folder / "start.lock", timeout=0.05)
    assert str(folder / "start.lock") in str(raised.value)


def test_a_server_that_offerlog_did_not_start_is_left_alone(place: Place) -> None:
    """Two servers on one database would destroy it."""
    user = ServerUser.of(place.path / "postgres")
    uid, gid, extra_groups = user.switch()
    bindir = executable_bindir(find_binaries(), user)
    other = LimitedProcess(
        [bindir / "postgres", "-D", place.path / "postgres", "-c", "listen_addresses=",
         "-c", "unix_socket_directories=."],
        user=uid, group=gid, extra_groups=extra_groups, cwd="/", stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pid_file = place.path / "postgres" / "postmaster.pid"
    until(lambda: pid_file.exists() and "ready" in pid_file.read_text())
    try:
        with pytest.raises(errors.ServerNotStartedError, match=f"process {other.pid}"):
            EmbeddedServer.acquire(place.path)
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGINT)
        other.wait(60)


def test_a_log_that_has_grown_is_put_aside(place: Place) -> None:
    """At most two files of some ten megabytes."""
    (place.path / "server.log").write_bytes(b"x" * 10_000_001)
    EmbeddedServer.acquire(place.path).close()
    assert (place.path / "server.log").stat().st_size < 100_000
    assert (place.path / "server.log.1").stat().st_size == 10_000_001


SYSTEM = Path("/usr/lib/postgresql/15/bin")


@pytest.mark.skipif(not (SYSTEM / "initdb").exists(), reason="no PostgreSQL 15 of the system here")
def test_an_older_postgresql_of_the_system_serves_too(new_place: Place) -> None:
    """What it made stays its own: the wheel's programs refuse it."""
    with EmbeddedServer.acquire(new_place.path, bindir=SYSTEM) as server:
        assert rows(server.dsn, "SHOW server_version_num")[0].startswith("15")
    with pytest.raises(errors.VersionMismatchError):
        EmbeddedServer.acquire(new_place.path)
