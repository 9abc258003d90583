"""A store as offerlog 0.1 left it, and the answers that it gave (`tests/contracts/first_store.*`).

The code of 0.1 made the store: simulated traffic of one organization, and the same hand-made signals in two.
So all kinds of events are there, in every form that 0.1 wrote. Its command gave the answers. A dump of
PostgreSQL 15 holds the store, without owners and rights.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from offerlog_domain.event_fields import Event, PrivateFields
from offerlog_domain.identity import VisitorKey
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.conversion.stored_forms import decode_stored
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from support.keyrings import run_keyring
from support.recount import rows

_CONTRACTS: Final = Path(__file__).parents[1] / "contracts"

_encode: Final = msgspec.msgpack.Encoder(uuid_format="bytes").encode

_SELECT_OLD: Final = (
    "SELECT notification_id, originator_id, originator_version, topic, state FROM {} ORDER BY notification_id"
)
_SELECT_NEW: Final = _SELECT_OLD.format("offerlog_events")


class FirstAnswer(NamedTuple):
    """What one command of 0.1 printed."""

    organization: str
    words: list[str]
    output: str


def first_answers() -> list[FirstAnswer]:
    """The answers of 0.1."""
    kept = json.loads((_CONTRACTS / "first_store.json").read_text())
    return [FirstAnswer(one["organization"], one["words"], one["output"]) for one in kept]


def restore_first_store(dsn: str) -> None:
    """Put the store of 0.1 into a database, in the place of what is there."""
    dump = gzip.decompress((_CONTRACTS / "first_store.sql.gz").read_bytes())
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())
        connection.execute(dump)


class OpenedEvent(NamedTuple):
    """An event of either format, with all that it says."""

    event: Event
    private: PrivateFields
    visitor: VisitorKey


Place = tuple[int, int]
"""Position, and version in the stream."""


def old_events(dsn: str, table: str = "offerlog_events") -> Mapping[Place, tuple[UUID, OpenedEvent]]:
    """All events of the first format, each with its stream."""
    return {
        (position, version): (stream, OpenedEvent(*decode_stored(topic, state)))
        for position, stream, version, topic, state in rows(dsn, _SELECT_OLD.format(table))
    }


def new_events(dsn: str) -> Mapping[Place, tuple[UUID, OpenedEvent]]:
    """All events of the second format, opened, each with its stream."""
    with closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as application:
        return dict(_open_all(application, rows(dsn, _SELECT_NEW), rows(dsn, "TABLE visitors")))


def _open_all(
    application: OfferlogApplication, events: list[tuple[Any, ...]], visitors: list[tuple[Any, ...]]
) -> Iterator[tuple[Place, tuple[UUID, OpenedEvent]]]:
    keys = application.visitor_keys
    known = {token: (kek, wrapped, names) for token, _, kek, _, wrapped, names in visitors}
    for position, stream, version, topic, state in events:
        token = token_of(stream)
        kek, wrapped, names = known[token]
        sealed = application.event_mapper.event(stream, version, topic, state)
        opened = application.event_mapper.open_event(
            stream, keys.open_stream(token, kek, wrapped, sealed.event.action_map_id), version, topic, state
        )
        visitor = keys.open_names(token, kek, wrapped, names)
        yield (position, version), (stream, OpenedEvent(opened.event, opened.private, visitor))


def store_in_version_2(dsn: str, organization: str) -> None:
    """Store the events of an organization as builds between 0.1 and the second format did.

    They stored version 2, with a private part in clear that begins with the visitor.
    """
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as connection:
        for position, _, _, topic, state in connection.execute(_SELECT_NEW.encode()).fetchall():
            event, private, visitor = decode_stored(topic, state)
            if event.organization == organization:
                fields = [getattr(private, name) for name in PrivateFields.__struct_fields__]
                state_2 = _encode((event, _encode([visitor.id, visitor.type, *fields])))
                connection.execute(
                    "UPDATE offerlog_events SET topic = %s, state = %s WHERE notification_id = %s",
                    (topic.replace(".1", ".2"), state_2, position),
                )
