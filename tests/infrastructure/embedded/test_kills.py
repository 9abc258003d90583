"""Kills of the embedded PostgreSQL, of its guard and of those that have a lease: real kills, nothing lost."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import psycopg

from offerlog_infrastructure.embedded import EmbeddedServer
from offerlog_infrastructure.embedded.server_user import ServerUser
from support.embedded_place import SOURCES, Place, do, processes, rows, until
from support.processes import LimitedProcess, finish


def test_a_killed_starter_leaves_the_server_to_the_others(place: Place) -> None:
    """The starter is nobody special: kill -9 is one way of leaving."""
    starter = place.client()
    assert starter.greeting
    other = place.client()
    assert other.greeting
    starter.kill()
    time.sleep(0.2)
    assert rows(other.greeting["dsn"], "SELECT 1") == [1]
    other.close()
    assert place.stopped()


def test_a_killed_last_one_stops_the_server_too(place: Place) -> None:
    """Nobody has to say goodbye for the server to stop."""
    client = place.client()
    assert client.greeting
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
    do(client.greeting["dsn"], "CREATE TABLE kept AS SELECT 7 AS number")
    os.kill(place.guard, signal.SIGKILL)
    until(place.stopped)
    with EmbeddedServer.acquire(place.path) as server:
        assert rows(server.dsn, "SELECT number FROM kept") == [7]
        client.close()
    assert place.stopped()


def test_a_guard_that_is_told_to_end_stops_the_server_first(place: Place) -> None:
    """SIGTERM, as at the shutdown of the machine, is a clean stop."""
    client = place.client()
    assert client.greeting
    os.kill(place.guard, signal.SIGTERM)
    until(place.stopped)
    assert "database system is shut down" in (place.path / "server.log").read_text()
    client.close()


def test_a_killed_server_is_started_again_by_its_guard(place: Place) -> None:
    """Whoever has a lease need not ask again, only connect again."""
    client = place.client()
    assert client.greeting
    killed = place.postmaster
    time.sleep(5.1)  # sooner, the guard would take it for a server that cannot run
    os.kill(killed, signal.SIGKILL)
    until(lambda: place.postmaster not in {0, killed})

    def answers() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            return rows(client.greeting["dsn"], "SELECT 1") == [1]
        return False

    until(answers)
    client.close()
    assert place.stopped()


def test_a_server_killed_with_a_backend_at_work_can_be_started_again(place: Place) -> None:
    """PostgreSQL refuses while a process of the killed server lives on; that one is waited for."""
    client = place.client()
    busy = client.greeting["dsn"]

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
        assert all(writer.greeting for writer in writers)
    time.sleep(1.0)
    for pid in [*(writer.process.pid for writer in writers), *place.server_processes()]:
        with contextlib.suppress(ProcessLookupError):  # a backend ends with its client
            os.kill(pid, signal.SIGKILL)
    acknowledged: set[int] = set()
    for writer in writers:
        output, _ = writer.process.communicate(timeout=60)
        acknowledged |= {int(line) for line in output.splitlines(keepends=True) if line.endswith("\n")}
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
