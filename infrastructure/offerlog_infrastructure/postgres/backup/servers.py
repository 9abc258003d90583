"""Snapshots of all servers of an installation that fit together.

The locks of movers are held while the snapshots are taken, which takes a moment, and not for the time of the
dumps. A snapshot shows its store as it was then, whatever moves later.

The home comes last: a shard has copies of the home's secrets, so the home must know whatever a shard knows.
What goes the other way must not pass in between. Short signals that wait at the home leave it behind the
commit of their shard; without a pause they might be in neither snapshot. The home notes how far each webhook
is in the logs of the shards; it might be further than their snapshots. A report that is issued names
positions in the logs of the shards, too: if one is issued meanwhile, the snapshots are taken again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Connection, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.shards import HOME, ShardError, ShardUnavailableError
from offerlog_application.sharding.in_motion import find_in_motion
from offerlog_domain.service_events import ReportIssued
from offerlog_domain.stream_ids import format_slices
from offerlog_infrastructure.postgres.backup.snapshot import StoreSnapshot, prepare_snapshot
from offerlog_infrastructure.postgres.connections import open_unlimited
from offerlog_infrastructure.postgres.errors import server_reached
from offerlog_infrastructure.postgres.log.horizon import LAST_DRAWN, SELECT_LAST_POSITION
from offerlog_infrastructure.postgres.log.short_signals import PARKINGS_TABLE
from offerlog_infrastructure.postgres.shards.directory import ShardIdentity, check_shard
from offerlog_infrastructure.postgres.shards.slice_keeping import keep_slices_of
from offerlog_infrastructure.server_address import add_password_of, check_address

_PATIENCE_SECONDS: Final = 30.0
"""Seconds to wait for a move or a rebuild; each backup waits for it once, unlike a command at a terminal."""

_HAS_TABLE: LiteralString = "SELECT to_regclass('shard') IS NOT NULL"
_SELECT_IDENTITY: LiteralString = "SELECT number, installation FROM shard"
_SELECT_SHARDS: LiteralString = """
    SELECT s.number, s.url, ARRAY(SELECT slice FROM directory d WHERE d.shard = s.number ORDER BY slice)
    FROM (SELECT number, url FROM shards UNION ALL SELECT 0, '') s ORDER BY s.number
"""
_PAUSE_HOME: Final = sql.SQL(
    "BEGIN; SET LOCAL lock_timeout TO '10s';"
    " LOCK TABLE {}, webhook_endpoints, webhook_deliveries IN SHARE MODE"
).format(sql.Identifier(PARKINGS_TABLE))


_HAS_ISSUED: LiteralString = f"""
    SELECT EXISTS (
        SELECT FROM offerlog_events
        WHERE notification_id > %s AND notification_id <= {LAST_DRAWN} AND starts_with(topic, %s)
    )
"""
_ISSUED: Final = f"{ReportIssued.stored_name}."
_MOST_TRIES: Final = 3


class _Server(NamedTuple):
    """The address of a shard, and its slices by the directory."""

    dsn: str
    slices: list[int]


def find_servers(dsn: str, schema: str) -> Sequence[int]:
    """Return the numbers of the servers whose home a store is; none for a store that is the only one.

    Raises:
        ShardError: It is another server than the home.
        StoreUnavailableError: The store cannot be reached.
    """
    with server_reached(), open_unlimited(dsn, schema) as connection:
        identity = _select_identity(connection)
        if identity is None:
            return []
        if identity.number != HOME:
            raise ShardError(
                f"this store is shard {identity.number} of several: back up their home, and with it all of"
                " them"
            )
        return [*_select_servers(connection, dsn)]


@contextmanager
def open_snapshots(dsn: str, schema: str) -> Iterator[Mapping[int, StoreSnapshot]]:
    """Take snapshots of all servers of an installation, and keep them during a block.

    Whoever reads or writes is not disturbed. Short signals that must wait at the home, and webhooks, wait for
    the moment in which the snapshots are taken.

    Args:
        dsn: The connection string of the home.
        schema: The schema of the stores.

    Yields:
        The snapshot of each server by its number, the home first.

    Raises:
        ShardUnavailableError: A server cannot be reached. Or a slice moves, or projections are rebuilt there.
        ShardError: A move was interrupted and has not ended, or a server was added meanwhile, or reports are
            issued without a pause.
        OfferlogError: See `open_snapshot`.
    """
    for _ in range(_MOST_TRIES):
        with ExitStack() as held:
            found = _take_snapshots(dsn, schema, held)
            if found is not None:
                yield found
                return
    raise ShardError("reports are issued all the time, so nothing was backed up: run it again later")


def _take_snapshots(dsn: str, schema: str, held: ExitStack) -> Mapping[int, StoreSnapshot] | None:
    """Take snapshots of all servers, and keep them with `held`; None if a report was issued meanwhile."""
    with server_reached():
        home: Connection[Any] = open_unlimited(dsn, schema)
    with closing(home):
        with server_reached():
            identity = _select_identity(home)
            servers = _select_servers(home, dsn)
        assert identity is not None  # noqa: S101 - see `find_servers`
        with ExitStack() as briefly:
            keepers = {
                number: _keep_slices(briefly, number, server, identity, schema)
                for number, server in servers.items()
            }
            takes = {}
            for number, server in servers.items():
                with _named(number, server):
                    takes[number] = held.enter_context(
                        prepare_snapshot(server.dsn, schema, is_of_several=True)
                    )
            with server_reached():
                home.execute(_PAUSE_HOME)
                begin = _select_end(home)
            found: dict[int, StoreSnapshot] = {}
            for number in sorted(takes, reverse=True):
                with _named(number, servers[number]):
                    found[number] = takes[number]()
            with server_reached():
                home.execute("ROLLBACK")
                is_issued = _has_issued(home, begin)
                added = _select_servers(home, dsn).keys() - servers.keys()
            for number, keeper in keepers.items():
                with _named(number, servers[number]), server_reached():
                    keeper.execute("SELECT 1")  # it is gone with its lock, if it was lost
        _check_settled(found)
        if added:
            raise ShardError("a server was added meanwhile: run it again")
        return None if is_issued else dict(sorted(found.items()))


def _keep_slices(
    held: ExitStack, number: int, server: _Server, home: ShardIdentity, schema: str
) -> Connection[Any]:
    """Keep slices from moving to a server or away from it, and check that it is the one of this number."""
    with _named(number, server):
        with server_reached():
            connection: Connection[Any] = held.enter_context(closing(open_unlimited(server.dsn, schema)))
            identity = _select_identity(connection)
        check_shard(identity, home, number)
        held.enter_context(keep_slices_of(connection, _PATIENCE_SECONDS))
    return connection


def _check_settled(found: Mapping[int, StoreSnapshot]) -> None:
    """Check that the snapshots have each slice once, and none that is on its way.

    Raises:
        ShardError: They do not.
    """
    held = [one.held for one in found.values()]
    moving = {*find_in_motion(held)}.union(*(one.leaving for one in held))
    if moving:
        raise ShardError(
            f"slices are on their way ({format_slices(moving)}), so nothing was backed up: a running service"
            " ends a move that was interrupted; see `offerlog shards status`"
        )


def _select_identity(connection: Connection[Any]) -> ShardIdentity | None:
    cursor = connection.cursor(row_factory=tuple_row)
    if cursor.execute(_HAS_TABLE).fetchone() != (True,):  # no store, or one of an older offerlog
        return None
    row = cursor.execute(_SELECT_IDENTITY).fetchone()
    return None if row is None else ShardIdentity(*row)


def _select_end(home: Connection[Any]) -> int:
    """Return the position of the last event of the home; 0 without one."""
    row = (
        home.cursor(row_factory=tuple_row).execute(f"SELECT coalesce(({SELECT_LAST_POSITION}), 0)").fetchone()
    )
    assert row is not None  # noqa: S101 - an aggregate gives a row
    return int(row[0])


def _has_issued(home: Connection[Any], begin: int) -> bool:
    """Return True if a report was issued behind a position."""
    return home.cursor(row_factory=tuple_row).execute(_HAS_ISSUED, (begin, _ISSUED)).fetchone() == (True,)


def _select_servers(home: Connection[Any], dsn: str) -> dict[int, _Server]:
    """Select all servers from the directory, the home first. They have the password that its address has."""
    rows = home.cursor(row_factory=tuple_row).execute(_SELECT_SHARDS).fetchall()
    found: dict[int, _Server] = {}
    for number, url, slices in rows:
        check_address(url)
        found[number] = _Server(dsn if number == HOME else add_password_of(url, dsn), slices)
    return found


@contextmanager
def _named(number: int, server: _Server) -> Iterator[None]:
    """Name the server in an error that it cannot do its work."""
    try:
        yield
    except ShardUnavailableError:
        raise
    except StoreUnavailableError as error:
        raise ShardUnavailableError(number, server.slices, error) from error
