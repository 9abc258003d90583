"""A store that offerlog 0.1 made opens, and gives the answers that 0.1 gave.

The events of one of its organizations are stored as later builds did, before there was the second format.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec.structs import replace

from offerlog_domain.event_fields import Event, SignalEvent
from offerlog_domain.events import LifecycleEvent, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.identity import VisitorKey
from offerlog_domain.lifecycle import State
from offerlog_domain.stream_ids import token_of
from support.command_line import CommandLine
from support.databases import Databases
from support.first_store import (
    FirstAnswer,
    OpenedEvent,
    Place,
    first_answers,
    new_events,
    old_events,
    restore_first_store,
    store_in_version_2,
)
from support.recount import rows
from support.relation_files import relation_files
from support.superuser import superuser

ANSWERS = first_answers()
VISITOR = "Ünïcode-訪問者-🙂"

READER = f"reader_{uuid4().hex[:8]}"
GRANTS = [
    f"GRANT SELECT ON offerlog_events, suppressions, performance_counts TO {READER}",
    f"GRANT SELECT ON current_offers TO {READER} WITH GRANT OPTION",
    "GRANT SELECT ON parked_signals TO PUBLIC",
]
"""Rights that an operator gave on tables of 0.1."""

SELECT_GRANTS = """
    SELECT table_name::text, grantee::text, is_grantable::text FROM information_schema.role_table_grants
    WHERE table_schema = 'offerlog' AND grantee IN (%s, 'PUBLIC') ORDER BY 1
"""
SELECT_BYTES = """
    SELECT state FROM offerlog_events UNION ALL SELECT names FROM visitors
    UNION ALL SELECT sealed FROM suppressions UNION ALL SELECT sealed FROM parked_signals
"""
SELECT_LEFTOVERS = """
    SELECT relname FROM pg_class WHERE relname ~ '^(first_|conversion|carried_|offerlog_events_notification)'
"""


class Upgraded(NamedTuple):
    """A store of 0.1 that was opened once by this build, on a terminal."""

    dsn: str
    before: dict[Place, tuple[UUID, OpenedEvent]]
    drawn_before: list[tuple[object, ...]]
    screen: str


@pytest.fixture(scope="module")
def upgraded(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """The upgraded store that the tests of this module only read."""
    dsn = databases.make()
    restore_first_store(dsn)
    before = dict(old_events(dsn))
    store_in_version_2(dsn, "Second.org")
    rows(dsn, "ANALYZE")
    assert stands_in_statistics(dsn)
    rows(superuser(dsn), f"CREATE ROLE {READER}")
    for grant in GRANTS:
        rows(dsn, grant)
    drawn = rows(dsn, "SELECT last_value FROM offerlog_events_notification_id_seq")
    screen = command(dsn, tmp_path_factory.mktemp("none"), "acme").on_a_terminal("projections", "status")
    yield Upgraded(dsn, before, drawn, screen)
    rows(superuser(dsn), f"DROP OWNED BY {READER}")
    rows(superuser(dsn), f"DROP ROLE {READER}")
    databases.drop([dsn])


def stands_in_statistics(dsn: str) -> bool:
    """Whether the visitor stands in clear in the files of PostgreSQL's statistics."""
    return any(VISITOR.encode() in file for file in relation_files(dsn, "pg_catalog.pg_statistic"))


def command(dsn: str, folder: Path, organization: str) -> CommandLine:
    """The command over that database."""
    return CommandLine(folder, organization).with_settings(OFFERLOG_DATABASE_URL=dsn, COLUMNS="80")


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: " ".join(one.words[:2]))
def test_every_answer_is_the_one_that_0_1_gave(
    upgraded: Upgraded, tmp_path: Path, answer: FirstAnswer
) -> None:
    """Byte for byte, but for the order of a map's suppressions, as their key is another one, and `until`."""
    given = command(upgraded.dsn, tmp_path, answer.organization)(*answer.words).text
    if answer.words[0] == "suppressions":  # without a policy, each holds for ever
        assert given.count(',"until":null}') == given.count("\n")
        given = given.replace(',"until":null}', "}")
    if answer.words[:2] == ["suppressions", "--action-map"]:
        assert sorted(given.splitlines()) == sorted(answer.output.splitlines())
    else:
        assert given == answer.output


def test_positions_versions_and_all_fields_are_what_they_were(upgraded: Upgraded) -> None:
    """Each event is at its place; one stream of then is one stream now; no position is drawn twice."""
    # when
    after = new_events(upgraded.dsn)
    # then
    assert after.keys() == upgraded.before.keys()
    streams: dict[UUID, set[UUID]] = defaultdict(set)
    for place, (stream, then) in upgraded.before.items():
        now_stream, now = after[place]
        assert now._replace(event=without_places(now.event)) == then
        streams[stream].add(now_stream)
    assert all(len(now) == 1 for now in streams.values())
    assert len(set.union(*streams.values())) == len(streams)
    assert rows(upgraded.dsn, "SELECT last_value FROM log_positions") == upgraded.drawn_before
    first_seen: dict[tuple[str, VisitorKey], int] = {}
    for stream, now in after.values():
        seconds = first_seen.setdefault(
            (now.event.organization, now.visitor), int(now.event.recorded_at.timestamp())
        )
        assert token_of(stream) >> 28 & 0xFFFF_FFFF == seconds


def without_places(event: Event) -> Event:
    """The event without the places of parked signals, which 0.1 did not store."""
    match event:
        case LifecycleEvent() | ParkingEnded():
            return replace(event, parked_version=None)
        case OfferRefused():
            return replace(event, parked_versions=())
    return event


def test_an_event_that_ends_a_parking_says_which_signal_waited(upgraded: Upgraded) -> None:
    """Every wait has one end at most; what ends it is of the same action and state."""
    after = new_events(upgraded.dsn)
    parked = {
        (stream, version): one
        for (_, version), (stream, one) in after.items()
        if isinstance(one.event, SignalParked)
    }
    ended: list[tuple[UUID, int]] = []
    for stream, one in after.values():
        match one.event:
            case OfferRefused(parked_versions=versions):
                places = [(stream, version) for version in versions]
            case LifecycleEvent(parked_version=int(version)) | ParkingEnded(parked_version=int(version)):
                places = [(stream, version)]
            case _:
                continue
        ended += places
        for place in places:
            assert parked[place].private.action_id == one.private.action_id
            assert isinstance(one.event, OfferRefused) or state_of(one.event) is state_of(parked[place].event)
    assert len(set(ended)) == len(ended)
    waiting = rows(upgraded.dsn, "SELECT originator_id, version FROM parked_signals")
    assert set(parked) - set(ended) == set(waiting)
    assert {
        len(one.event.parked_versions) for _, one in after.values() if isinstance(one.event, OfferRefused)
    } >= {0, 2}


def state_of(event: Event) -> State:
    """The state that an event reaches, or that its parked signal reports."""
    if isinstance(event, ParkingEnded):
        return event.parked_state
    assert isinstance(event, SignalEvent)
    return event.reported_state


def test_nothing_of_the_old_tables_is_left_and_no_name_stands_in_clear(upgraded: Upgraded) -> None:
    """The log holds neither the visitor nor ids of sessions, actions and events."""
    assert leftovers(upgraded.dsn) == []
    texts = {VISITOR.encode(), b"das Fenster"}
    for _, one in upgraded.before.values():
        texts |= {one.private.session_id.bytes, one.private.action_id.bytes}
    stored = b"".join(bytes(part) for (part,) in rows(upgraded.dsn, SELECT_BYTES))
    assert len(stored) > 50_000
    assert not [text for text in texts if text in stored]
    assert not stands_in_statistics(upgraded.dsn)


def leftovers(dsn: str) -> list[tuple[object, ...]]:
    """The tables of the conversion that a store has."""
    return rows(dsn, SELECT_LEFTOVERS)


def test_a_new_store_has_no_trace_of_the_conversion(dsn: str) -> None:
    """The migration that sets old events aside makes nothing where there are none."""
    assert leftovers(dsn) == []


def test_the_upgrade_is_shown_on_the_terminal_and_the_projections_are_proved(
    upgraded: Upgraded, tmp_path: Path
) -> None:
    """Any command that opens the store shows a bar, then its answer; `verify` finds nothing wrong."""
    assert "upgraded now, once" in upgraded.screen
    assert "rewriting" in upgraded.screen
    assert "379/379" in upgraded.screen
    assert "current_state" in upgraded.screen.rpartition("the store is upgraded")[2]
    answer = command(upgraded.dsn, tmp_path, "acme")("projections", "verify", "--format", "json")
    assert answer.errors == ""


def test_a_process_of_0_1_that_still_runs_writes_and_reads_nothing(upgraded: Upgraded) -> None:
    """Each of its appends, and each look of its readers, asks the sequence by its old name."""
    with pytest.raises(psycopg.errors.UndefinedTable):
        rows(upgraded.dsn, "SELECT currval('offerlog_events_notification_id_seq')")


def test_rights_on_tables_survive(upgraded: Upgraded) -> None:
    """A reporting tool may read afterwards what it could read before."""
    assert rows(superuser(upgraded.dsn), SELECT_GRANTS, READER) == [
        ("current_offers", READER, "YES"),
        ("offerlog_events", READER, "NO"),
        ("parked_signals", "PUBLIC", "NO"),
        ("performance_counts", READER, "NO"),
        ("suppressions", READER, "NO"),
    ]
