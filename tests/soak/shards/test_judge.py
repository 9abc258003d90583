"""The judge of several servers finds what is planted in their tables, and nothing in what was recorded.

In the middle of the run, a slice was moved to each server.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from offerlog_infrastructure.composition import SCHEMA
from soak.checker import check
from soak.evidence import KINDS, Attempt, Violation, told_by
from soak.history import ANSWERED, SENT, UNKNOWN, Entry
from soak.server import Server
from soak.shards.elsewhere import look_elsewhere
from soak.shards.judge import Copies, Places, changed_positions, copy_shards, evidence_of, misplaced
from soak.shards.moves import LEFT, MOVED, MOVING, TRIED, Whereabouts, figures_of
from soak.shards.system import HURT, MENDED, STOPPED, WENT_ON
from support.databases import Databases
from support.installations import Stores, make_stores, move_slice
from support.journeys import journeys
from support.shard_archives import archive_servers

_BATCH: Final = 20
_SELECT_VISITOR: Final = """
    SELECT min(visitor) FROM current_offers WHERE state IN ('engaged', 'rejected', 'timedout', 'abandoned')
"""
_TABLES: Final = ("visitors", "offerlog_events")
_SELECT_FULLEST: Final = """
    SELECT get_byte(uuid_send(originator_id), 0) >> 4 FROM offerlog_events
    WHERE substr(originator_id::text, 2, 9) <> '0000000-0' GROUP BY 1 ORDER BY count(*) DESC, 1
"""
_SELECT_LAST_EVENT: Final = """
    SELECT * FROM offerlog_events
    WHERE get_byte(uuid_send(originator_id), 0) >> 4 = %s AND substr(originator_id::text, 2, 9) <> '0000000-0'
    ORDER BY notification_id DESC LIMIT 1
"""
_STAYS: Final = 9
"""A slice that is not moved."""


@dataclass(frozen=True)
class Ran:
    """What a run has left.

    Attributes:
        servers: The servers.
        entries: The histories of the clients and of the mover.
        moved: The slice that was moved to each server.
        stores: The same servers.
        archive: The place of their archives.
    """

    servers: Sequence[Server]
    entries: Sequence[Entry]
    moved: Sequence[int]
    stores: Stores
    archive: Path


@pytest.fixture(scope="module")
def ran(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Journeys of visitors of two servers, recorded and written down."""
    made: list[str] = []

    def make_dsn() -> str:
        made.append(databases.make())
        return made[-1]

    entries: list[Entry] = []
    lines = journeys(42)
    with make_stores(make_dsn, "8-f") as stores:
        servers = [Server(Path()) for _ in stores.dsns]
        for server, dsn in zip(servers, stores.dsns, strict=True):
            server.dsn = dsn
        with stores.open() as service:
            for n in range(0, len(lines), _BATCH):
                if n == len(lines) // (2 * _BATCH) * _BATCH:
                    moved = [_fullest(one) for one in reversed(servers)]
                    entries += [one for target in (0, 1) for one in _move(stores, moved[target], target, n)]
                texts = [line.decode() for line in lines[n : n + _BATCH]]
                sent = {"request": f"client-{n}", "way": "test", "organization": "default", "signals": texts}
                entries.append({"at": float(n), "kind": SENT, **sent})
                receipt = service.record(texts)
                answer = [[one.kind.value, one.reason and one.reason.value] for one in receipt.outcomes]
                entries.append(
                    {"at": n + 0.5, "kind": ANSWERED, "request": f"client-{n}", "outcomes": answer}
                )
            service.catch_up()
        yield Ran(servers, entries, moved, stores, tmp_path_factory.mktemp("archive"))
    databases.drop(made)


def _fullest(server: Server) -> int:
    """The slice with the most events of a server."""
    numbers = [int(number) for (number,) in server.sql(_SELECT_FULLEST)]
    return next(number for number in numbers if number != _STAYS)


def _move(stores: Stores, number: int, target: int, at: float) -> Iterator[Entry]:
    """Move a slice, as the history of a mover says it."""
    move = {"slice": number, "source": 1 - target, "target": target}
    yield {"at": at, "kind": MOVING, **move}
    moved = move_slice(stores, number, target)
    assert moved.events > 0
    yield {"at": at, "kind": MOVED, **move, "events": moved.events, "seconds": moved.seconds}


def _copied(ran: Ran) -> Copies:
    return copy_shards(ran.servers, Path(os.environ["OFFERLOG_KEYRING"]), ran.archive)


def _judge(ran: Ran) -> list[Violation]:
    copies = _copied(ran)
    whereabouts = Whereabouts(ran.entries, copies.places.directory)
    been = {number: whereabouts.shards(number) for number in copies.places.directory}
    return [*misplaced(copies, been), *check(evidence_of(copies, ran.entries))]


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


def test_a_slice_that_nobody_owns_is_found(ran: Ran) -> None:
    """A move has given it away, and nobody has taken it."""
    # given
    ran.servers[1].sql("UPDATE slices SET is_owned = false WHERE slice = %s", ran.moved[1])
    # when
    found = _judge(ran)
    # then
    ran.servers[1].sql("UPDATE slices SET is_owned = true WHERE slice = %s", ran.moved[1])
    assert [one.what for one in found] == [f"slice {ran.moved[1]:x} is shard 1's, and its owners are []"]


def _last_event(ran: Ran) -> dict[str, list[tuple[Any, ...]]]:
    """The last event of the slice that was moved to shard 1."""
    (row,) = ran.servers[1].sql(_SELECT_LAST_EVENT, ran.moved[1])
    return {"offerlog_events": [row]}


def test_an_event_on_both_servers_of_a_move_is_found(ran: Ran) -> None:
    """The target has it, and the source has not deleted it."""
    # given
    left = _last_event(ran)
    _change(ran.servers[0], {}, left)
    # when
    found = _judge(ran)
    # then
    _change(ran.servers[0], left, {})
    assert {("events", "doubled"), ("events", "misplaced")} <= {(one.check, one.kind) for one in found}
    assert _judge(ran) == []


def test_an_event_that_a_move_has_left_behind_is_found(ran: Ran) -> None:
    """The source has it still, and the target never got it."""
    # given
    left = _last_event(ran)
    _change(ran.servers[1], left, {})
    _change(ran.servers[0], {}, left)
    # when
    found = _judge(ran)
    # then
    _change(ran.servers[0], left, {})
    _change(ran.servers[1], {}, left)
    checks = {(one.check, one.kind) for one in found}
    assert ("events", "misplaced") in checks
    assert ("events", "doubled") not in checks
    assert _judge(ran) == []


def test_a_position_of_a_server_where_the_slice_never_was_is_found(ran: Ran) -> None:
    """Without its moves in the history, a moved event has such a position."""
    # when
    copies = _copied(ran)
    found = list(misplaced(copies))
    # then
    assert {(one.check, one.kind) for one in found} == {("events", "misplaced")}
    assert 0 in {position >> 40 for position, _, _ in copies.shards[1].copy.events}


def test_an_event_whose_position_a_move_has_changed_is_found(ran: Ran) -> None:
    """Or that a later settled moment lacks."""
    # given
    before, after = _copied(ran), _copied(ran)
    assert list(changed_positions(before, after)) == []
    events = after.shards[1].copy.events
    position, stream, version = events[0]
    # when
    events[0] = (position + 1, stream, version)
    del events[-1]
    # then
    found = list(changed_positions(before, after))
    assert [(one.check, one.kind) for one in found] == [("events", "lost")] * 2
    assert (
        f"version {version} of stream {stream} at position {position} is at {position + 1}" in found[0].what
    )
    assert "is at None later" in found[1].what


def test_a_move_that_has_not_ended_is_found(ran: Ran) -> None:
    """A killed mover has left it, and no other one came."""
    # given
    ran.servers[0].sql("INSERT INTO leaving_slices (slice, target, epoch) VALUES (%s, 1, 2)", ran.moved[1])
    # when
    found = _judge(ran)
    # then
    ran.servers[0].sql("DELETE FROM leaving_slices")
    assert [one.what for one in found] == [f"slice {ran.moved[1]:x} is still leaving on shard 0"]


def test_whereabouts_are_those_of_the_history() -> None:
    """A slice on its way is at both servers; one that was not moved is where the directory says."""
    move = {"slice": 5, "source": 0, "target": 2}
    entries: list[Entry] = [{"at": 10.0, "kind": MOVING, **move}, {"at": 12.0, "kind": MOVED, **move}]
    # when
    found = Whereabouts(entries, dict.fromkeys(range(16), 1))
    # then
    assert found.shards(5, 1.0, 2.0) == {0}
    assert found.shards(5, 11.0, 11.5) == {0, 2}
    assert found.shards(5, 13.0, 14.0) == {2}
    assert found.shards(5) == {0, 2}
    assert found.shards(6, 11.0, 11.5) == {1}


def test_moves_are_counted() -> None:
    """One that has ended what a killed mover left had no time without an owner of its own."""
    move = {"slice": 5, "source": 0, "target": 2}
    entries: list[Entry] = [
        {"at": 1.0, "kind": TRIED, "slice": 5, "code": -9, "why": ""},
        {"at": 2.0, "kind": TRIED, "slice": 5, "code": 1, "why": "no"},
        {"at": 3.0, "kind": MOVED, **move, "events": 0, "seconds": 0.0},
        {"at": 4.0, "kind": MOVED, **move, "events": 61, "seconds": 0.08},
        {"at": 5.0, "kind": LEFT, "slice": 5, "seconds": 1.25},
    ]
    # when
    lines = figures_of(entries).lines()
    # then
    assert lines[0].startswith("2 moves of 1 slices ended; of their commands, 1 were killed and 1 ended with")
    assert lines[1].startswith("the slice had no owner for 80 ms (median), 80 ms (longest); 61 events")
    assert (
        lines[2]
        == "1 killed moves were left to the services, and had ended after 1.2 s (median), 1.2 s (longest)"
    )


def _shards_of(attempt: Attempt, places: Places) -> set[int]:
    signals = [told_by(attempt.organization, text) for text in attempt.signals]
    pairs = [one.pair for one in signals if one is not None]
    return {places.shard_of(one.organization, one.customer_type, one.customer) for one in pairs}


def test_visitors_of_other_servers_who_are_not_answered_are_found(ran: Ran) -> None:
    """While one of the servers is away for long."""
    # given
    copies = _copied(ran)
    attempts = evidence_of(copies, ran.entries).attempts
    away: list[Entry] = [
        {"at": 0.0, "kind": HURT, "shard": 1},
        {"at": 1_000.0, "kind": MENDED, "shard": 1},
    ]
    # when
    with_it = [one for one in attempts if 1 in _shards_of(one, copies.places)]
    mixed = look_elsewhere(away, with_it, copies.places, of_home=False)
    for attempt in attempts:
        attempt.signals = attempt.signals[:1]
    apart = look_elsewhere(away, attempts, copies.places, of_home=False)
    unanswered = [replace(one, fate=UNKNOWN) for one in attempts]
    alone = look_elsewhere(away, unanswered, copies.places, of_home=False)
    # then
    assert (mixed.forgotten, mixed.answered) == ([], []), "no one else has asked"
    assert len(alone.forgotten) == 1
    assert (len(apart.forgotten), bool(apart.answered), bool(apart.of_hurt)) == (0, True, True)
    # when their services stand still
    services = {one.way for one in attempts}
    stopped: list[Entry] = [{"at": 0.0, "kind": STOPPED, "service": one} for one in services]
    stopped += [{"at": 1_000.0, "kind": WENT_ON, "service": one} for one in services]
    nobody = look_elsewhere([*away, *stopped], attempts, copies.places, of_home=False)
    # then nothing is said of them
    assert (nobody.answered, nobody.of_hurt) == ([], [])


def test_archived_events_count_and_files_that_do_not_fit_are_found(ran: Ran) -> None:
    """The last test: it moves most events into files."""
    pytest.importorskip("pyarrow")
    before = _copied(ran)
    with ran.stores.open() as service:
        moved = archive_servers(service, ran.archive)
    assert all(moved)
    assert _judge(ran) == []
    assert [one.copy.events for one in _copied(ran).shards] == [one.copy.events for one in before.shards]
    # when a file is not in its place, under its name
    file = next(ran.archive.glob("slice=*/*"))
    file.rename(file.with_name("other"))
    found = _judge(ran)
    # then it is missing, and there is another one
    wrong = [one.what for one in found if one.check == "archives"]
    assert [any(part in what for what in wrong) for part in ("not named", "cannot be read")] == [True, True]
    assert "lost" in _kinds(found)
