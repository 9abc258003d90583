"""Leases of one embedded PostgreSQL, by one process and by several: real processes and a real server."""

import os
import signal
import subprocess
import sys

import psycopg
import pytest

from offerlog_infrastructure.embedded import EmbeddedServer
from support.embedded_place import Place, rows
from support.processes import LimitedProcess


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
    assert first.greeting["dsn"] == second.greeting["dsn"]
    postmaster = place.postmaster
    with psycopg.connect(second.greeting["dsn"]) as connection:
        first.close()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert place.postmaster == postmaster
    second.close()
    assert place.stopped()


def test_five_first_starts_at_once_make_one_server(new_place: Place) -> None:
    """Whoever comes first makes the database; the others wait and join."""
    clients = [new_place.client() for _ in range(5)]
    assert len({client.greeting["dsn"] for client in clients}) == 1
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
    assert starter.greeting
    other = place.client()
    assert other.greeting
    os.killpg(starter.process.pid, signal.SIGINT)
    starter.process.wait(60)
    assert rows(other.greeting["dsn"], "SELECT 1") == [1]
    other.close()
    assert place.stopped()
