"""The base of every benchmark: a database server, databases to throw away, and the print of results."""

import gc
import json
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.embedded import EmbeddedServer, locks, roles
from offerlog_infrastructure.embedded.binaries import find_binaries
from offerlog_infrastructure.embedded.cluster import Cluster
from offerlog_infrastructure.embedded.folder import DataFolder
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.embedded.staging import executable_bindir
from offerlog_infrastructure.postgres.migrations import migrate


@contextmanager
def server() -> Iterator[str]:
    """A durable PostgreSQL (fsync and synchronous_commit on) that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="offerlog-bench-"))
    folder.chmod(0o755)
    os.environ["OFFERLOG_KEYRING"] = str(folder / "keyring.json")  # not the user's own; children inherit it
    try:
        EmbeddedServer.acquire(folder / "store").close()
        _allow(folder / "store")
        with EmbeddedServer.acquire(folder / "store") as running:
            yield running.dsn
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _allow(data: Path) -> None:
    """Let the service's role make databases and checkpoints, which it needs for nothing but benchmarks."""
    folder = DataFolder(data)
    user = ServerUser.of(folder.database)
    programs = find_binaries()
    cluster = Cluster(folder, executable_bindir(programs, user), programs.major, user)
    lock = locks.take(folder.server, timeout=60)
    try:
        allow = f"ALTER ROLE {roles.ROLE} CREATEDB; GRANT pg_checkpoint TO {roles.ROLE}"
        cluster.single_user(folder.database, roles.DATABASE, allow, lock)
    finally:
        os.close(lock)


def database(dsn: str) -> str:
    """An empty database with our tables in it."""
    name = f"bench_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    made = make_conninfo(dsn, dbname=name, options=f"-c search_path={SCHEMA}")
    migrate(made, SCHEMA)
    return made


def settle() -> None:
    """What the command line does at its start: what is there stays, and garbage is rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def timed(work: Callable[[], object]) -> float:
    """Seconds that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def say(bench: str, figures: dict[str, float], ratios: dict[str, float]) -> None:
    """A table for people, then the one line for machines."""
    sys.stdout.write(f"\n{bench}\n")
    for name, value in figures.items():
        sys.stdout.write(f"  {name:<44} {value:>14,.1f}\n")
    for name, value in ratios.items():
        sys.stdout.write(f"  {name:<44} {value:>14.2f} x\n")
    rounded = {name: round(value, 3) for name, value in figures.items()}
    line = {"bench": bench, "figures": rounded, "ratios": {n: round(v, 3) for n, v in ratios.items()}}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
