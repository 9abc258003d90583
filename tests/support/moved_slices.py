"""Slices that a test moves from one store to another by plain SQL, and a twin where nothing was moved."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from offerlog import Offerlog
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.identity import VisitorKey
from offerlog_domain.stream_ids import slice_of
from offerlog_infrastructure.composition import SCHEMA
from support.installations import Stores, make_stores

_TABLES: Final[dict[str, LiteralString]] = {
    "visitors": "digest BETWEEN %(low)s AND %(high)s",
    "erased_visitors": "token >> 60 & 15 = %(slice)s",
    "legal_holds": "digest BETWEEN %(low)s AND %(high)s",
    "refusals": "visitor_digest BETWEEN %(low)s AND %(high)s",
    "counted_blocks": "visitor_digest BETWEEN %(low)s AND %(high)s",
    "named_actions": "visitor >> 60 & 15 = %(slice)s",
    "offerlog_events": (
        "originator_id BETWEEN %(low)s AND %(high)s AND substr(originator_id::text, 2, 9) <> '0000000-0'"
    ),
}
"""The tables with rows of visitors that no projection makes, and which rows are those of a slice."""

_NUMBERED: Final = {"erased_visitors", "refusals", "counted_blocks"}
"""Each store numbers the rows of these."""

_NOTE_MOVED: Final = """
    INSERT INTO moved_events
    SELECT %(slice)s, %(target)s, %(epoch)s, count(*), min(notification_id), max(notification_id),
        sum(notification_id::numeric * notification_id)
    FROM offerlog_events WHERE notification_id >> 40 = %(source)s
      AND originator_id BETWEEN %(low)s AND %(high)s AND substr(originator_id::text, 2, 9) <> '0000000-0'
    HAVING count(*) > 0
"""
"""Moves note the events that the source has recorded itself; see docs/decisions/0065."""


@dataclass(frozen=True)
class MovingStores:
    """The stores of an installation, whose slices a test moves.

    Attributes:
        stores: The stores.
    """

    stores: Stores

    def move(self, service: ShardedOfferlog, slice_: int, target: int) -> None:
        """Move a slice. Nobody writes meanwhile; projections and trees have passed all events.

        The projected rows are made by a rebuild of both stores.
        """
        settle(service)
        ((source,),) = self.rows(0, "SELECT shard FROM directory WHERE slice = %s", slice_)
        ((epoch,),) = self.rows(source, "SELECT epoch FROM slices WHERE slice = %s", slice_)
        where: dict[str, Any] = {
            "slice": slice_,
            "low": f"{slice_:x}0000000-0000-0000-0000-000000000000",
            "high": f"{slice_:x}fffffff-ffff-ffff-ffff-ffffffffffff",
            "source": source,
            "target": target,
            "epoch": epoch + 1,
        }
        with self._connect(source) as giving, self._connect(target) as taking:
            giving.execute(
                "UPDATE slices SET is_owned = false, epoch = %(epoch)s WHERE slice = %(slice)s", where
            )
            giving.execute(_NOTE_MOVED, where)
            for table, condition in _TABLES.items():
                _move_rows(giving, taking, table, condition, where)
            taking.execute("DELETE FROM moved_events WHERE slice = %(slice)s", where)
            taking.execute(
                "UPDATE slices SET is_owned = true, epoch = %(epoch)s + 1 WHERE slice = %(slice)s", where
            )
        self.rows(
            0, "UPDATE directory SET shard = %s, epoch = %s WHERE slice = %s", target, epoch + 2, slice_
        )
        service._router.read_map()
        for number in (source, target):
            service._router.get(number).service.rebuild(accept_difference=True)

    def rows(self, number: int, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a statement gives at a store."""
        with self._connect(number) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def _connect(self, number: int) -> psycopg.Connection[Any]:
        return psycopg.connect(self.stores.dsns[number], options=f"-c search_path={SCHEMA}")


def _move_rows(
    giving: psycopg.Connection[Any],
    taking: psycopg.Connection[Any],
    table: str,
    condition: LiteralString,
    where: dict[str, Any],
) -> None:
    names = [
        name
        for (name,) in giving.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped",
            (table,),
        )
        if table not in _NUMBERED or name not in {"number", "id"}
    ]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    delete = sql.SQL("DELETE FROM {} WHERE {} RETURNING {}").format(
        sql.Identifier(table), sql.SQL(condition), columns
    )
    insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table), columns, sql.SQL(", ").join([sql.Placeholder()] * len(names))
    )
    moved = giving.execute(delete, where).fetchall()
    with taking.cursor() as cursor:
        cursor.executemany(insert, moved)


@contextmanager
def make_moving_stores(make_dsn: Callable[[], str], *divisions: str) -> Iterator[MovingStores]:
    """Make an installation; see `make_stores`."""
    with make_stores(make_dsn, *divisions) as stores:
        yield MovingStores(stores)


def settle(service: ShardedOfferlog) -> None:
    """Let the projections and the tree of each store pass all events."""
    for one in shards(service):
        one.catch_up()
        assert one.evidence is not None
        one.evidence.catch_up()


def shards(service: ShardedOfferlog) -> list[Offerlog]:
    """The services of the stores, by number."""
    return [one.service for one in service._router.all()]


def visitors_of(service: Offerlog, slice_: int) -> Iterator[int]:
    """Numbers of visitors that lie in a slice, for `signal(..., visitor=number)`; from 1,000 on."""
    for number in count(1_000):
        digest = service._service.digest(service.organization, VisitorKey("cookie", f"visitor-{number}"))
        if slice_of(digest) == slice_:
            yield number
