"""The judge of several servers finds what is planted in their tables, and nothing in what was recorded."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from offerlog_infrastructure.composition import SCHEMA
from soak.checker import check
from soak.evidence import KINDS, Violation
from soak.history import ANSWERED, SENT, Entry
from soak.server import Server
from soak.shards.elsewhere import look_elsewhere
from soak.shards.judge import copy_shards, evidence_of, misplaced
from soak.shards.system import HURT, MENDED
from support.databases import Databases
from support.installations import make_stores
from support.journeys import journeys

_BATCH: Final = 20
_SELECT_VISITOR: Final = """
    SELECT min(visitor) FROM current_offers WHERE state IN ('engaged', 'rejected', 'timedout', 'abandoned')
"""
_TABLES: Final = ("visitors", "offerlog_events")


@dataclass(frozen=True)
class Ran:
    """What a run has left: the servers, and the histories of its clients."""

    servers: Sequence[Server]
    entries: Sequence[Entry]


@pytest.fixture(scope="module")
def ran(databases: Databases) -> Iterator[Ran]:
    """Journeys of visitors of two servers, recorded and written down."""
    made: list[str] = []

    def make_dsn() -> str:
        made.append(databases.make())
        return made[-1]

    entries: list[Entry] = []
    lines = journeys(42)
    with make_stores(make_dsn, "8-f") as stores:
        with stores.open() as service:
            for n in range(0, len(lines), _BATCH):
                texts = [line.decode() for line in lines[n : n + _BATCH]]
                sent = {"request": f"client-{n}", "way": "test", "organization": "default", "signals": texts}
                entries.append({"at": float(n), "kind": SENT, **sent})
                receipt = service.record(texts)
                answer = [[one.kind.value, one.reason and one.reason.value] for one in receipt.outcomes]
                entries.append(
                    {"at": n + 0.5, "kind": ANSWERED, "request": f"client-{n}", "outcomes": answer}
                )
            service.catch_up()
        servers = [Server(Path()) for _ in stores.dsns]
        for server, dsn in zip(servers, stores.dsns, strict=True):
            server.dsn = dsn
        yield Ran(servers, entries)
    databases.drop(made)


def _judge(ran: Ran) -> list[Violation]:
    copies = copy_shards(ran.servers, Path(os.environ["OFFERLOG_KEYRING"]))
    return [*misplaced(copies), *check(evidence_of(copies, ran.entries))]


def _kinds(found: list[Violation]) -> set[str]:
    assert {one.kind for one in found} <= {*KINDS}
    return {one.kind for one in found}


def _rows_of_a_visitor(server: Server) -> dict[str, list[tuple[Any, ...]]]:
    """The row of a visitor, and the events; the last one is a lifecycle event."""
    ((token,),) = server.sql(_SELECT_VISITOR)
    low = UUID(int=(token % (1 << 64)) << 64)
    high = UUID(int=low.int | (1 << 64) - 1)
    return {
        "visitors": server.sql("SELECT * FROM visitors WHERE token = %s", token),
        "offerlog_events": server.sql(
            "SELECT * FROM offerlog_events WHERE originator_id BETWEEN %s AND %s ORDER BY 1", low, high
        ),
    }


def _change(server: Server, remove: dict[str, Any], add: dict[str, Any]) -> None:
    with psycopg.connect(server.dsn, options=f"-c search_path={SCHEMA}") as connection:
        for table in _TABLES:
            cursor = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(table)))
            names = [column.name for column in cursor.description or ()]
            condition = sql.SQL(" AND ").join(
                sql.SQL("{} = %s").format(sql.Identifier(name)) for name in names[:3]
            )
            for row in remove.get(table, ()):
                statement = sql.SQL("DELETE FROM {} WHERE {}").format(sql.Identifier(table), condition)
                assert connection.execute(statement, row[:3]).rowcount == 1
            for row in add.get(table, ()):
                values = sql.SQL(", ").join([sql.Placeholder()] * len(row))
                connection.execute(
                    sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(table), values), row
                )


def test_what_was_recorded_is_clean(ran: Ran) -> None:
    """Nothing is planted: nothing is found."""
    assert _judge(ran) == []


def test_a_lost_event_is_found(ran: Ran) -> None:
    """It was acknowledged, and no server has it."""
    # given
    lost = {"offerlog_events": _rows_of_a_visitor(ran.servers[1])["offerlog_events"][-1:]}
    _change(ran.servers[1], lost, {})
    # when
    found = _judge(ran)
    # then
    _change(ran.servers[1], {}, lost)
    assert ("acknowledged outcomes", "lost") in {(one.check, one.kind) for one in found}
    assert not _kinds(found) & {"doubled", "misplaced"}
    assert _judge(ran) == []


def test_a_doubled_visitor_is_found(ran: Ran) -> None:
    """As if two processes with different maps had recorded the same signals."""
    # given
    copied = _rows_of_a_visitor(ran.servers[0])
    _change(ran.servers[1], {}, copied)
    # when
    found = _judge(ran)
    # then
    _change(ran.servers[1], copied, {})
    assert {("doubled events", "doubled"), ("visitors", "doubled"), ("events", "misplaced")} <= {
        (one.check, one.kind) for one in found
    }
    assert _judge(ran) == []


def test_a_misplaced_visitor_is_found(ran: Ran) -> None:
    """On one server, and on the wrong one."""
    # given
    moved = _rows_of_a_visitor(ran.servers[0])
    _change(ran.servers[0], moved, {})
    _change(ran.servers[1], {}, moved)
    # when
    found = _judge(ran)
    # then
    _change(ran.servers[1], moved, {})
    _change(ran.servers[0], {}, moved)
    checks = {(one.check, one.kind) for one in found}
    assert {("visitors", "misplaced"), ("events", "misplaced")} <= checks
    assert not {("acknowledged outcomes", "lost"), ("doubled events", "doubled")} & checks
    assert _judge(ran) == []


def test_a_slice_with_two_owners_is_found(ran: Ran) -> None:
    """Nothing was recorded of it by the wrong one yet."""
    # given
    ran.servers[0].sql("UPDATE slices SET is_owned = true WHERE slice = 9")
    # when
    found = _judge(ran)
    # then
    ran.servers[0].sql("UPDATE slices SET is_owned = false WHERE slice = 9")
    assert [one.what for one in found] == ["slice 9 is shard 1's, and its owners are [0, 1]"]


def test_visitors_of_other_servers_who_are_not_answered_are_found(ran: Ran) -> None:
    """While one of the servers is away for long."""
    # given
    copies = copy_shards(ran.servers, Path(os.environ["OFFERLOG_KEYRING"]))
    attempts = evidence_of(copies, ran.entries).attempts
    away: list[Entry] = [
        {"at": 0.0, "kind": HURT, "shard": 1},
        {"at": 1_000.0, "kind": MENDED, "shard": 1},
    ]
    # when
    mixed = look_elsewhere(away, attempts, copies.places, of_home=False)
    for attempt in attempts:
        attempt.signals = attempt.signals[:1]
    apart = look_elsewhere(away, attempts, copies.places, of_home=False)
    # then every whole batch has visitors of both servers
    assert len(mixed.forgotten) == 1
    assert not mixed.answered
    assert (len(apart.forgotten), bool(apart.answered), bool(apart.of_hurt)) == (0, True, True)
