"""The superuser of an embedded store, for tests: nobody logs in as it unless something like this is done."""

import os
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog_infrastructure.embedded import locks, roles
from offerlog_infrastructure.embedded.binaries import find_binaries
from offerlog_infrastructure.embedded.cluster import Cluster
from offerlog_infrastructure.embedded.folder import DataFolder
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.embedded.staging import executable_bindir
from support.own_server import superuser_url

PASSWORD = "of-the-tests"  # noqa: S105 - of a store that lives as long as the tests


def alone(data: Path, statement: str) -> None:
    """Run a statement as the superuser in a store whose server is stopped."""
    folder = DataFolder(data)
    user = ServerUser.of(folder.database)
    binaries = find_binaries()
    cluster = Cluster(folder, executable_bindir(binaries, user), binaries.major, user)
    lock = locks.take(folder.server, timeout=60)
    try:
        cluster.single_user(folder.database, roles.DATABASE, statement, lock)
    finally:
        os.close(lock)


def enable(data: Path) -> None:
    """Give the superuser a password, which is hashed once: tests connect often."""
    alone(data, f"SET scram_iterations = 1; ALTER ROLE {roles.SUPERUSER} PASSWORD '{PASSWORD}'")


def superuser(dsn: str) -> str:
    """The connection string of the superuser of the same database."""
    own = superuser_url()
    if own is not None and conninfo_to_dict(own)["host"] == conninfo_to_dict(dsn)["host"]:
        return make_conninfo(own, dbname=conninfo_to_dict(dsn)["dbname"])
    return make_conninfo(dsn, user=roles.SUPERUSER, password=PASSWORD)
