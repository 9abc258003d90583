"""Rows as builds before decision 69 stored them: the plain form, AES-GCM, keys of 32 bytes."""

import os
from collections.abc import Callable
from contextlib import closing
from typing import Final

import msgspec
import psycopg

from offerlog_domain.stream_ids import stream_bounds
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.visitors import OpenStream, place_in_stream
from offerlog_infrastructure.sealing import Sealer
from support.keyrings import run_keyring

_encode: Final = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_FORMER_VERSION: Final = 2

_SELECT_VISITORS: Final = "SELECT token, kek, wrapped_key, names FROM visitors ORDER BY digest"
_UPDATE_VISITOR: Final = "UPDATE visitors SET kek = %s, wrapped_key = %s, names = %s WHERE token = %s"
_SELECT_EVENTS: Final = """
    SELECT notification_id, originator_id, originator_version, topic, state FROM offerlog_events
    WHERE originator_id BETWEEN %s AND %s
"""
_UPDATE_EVENT: Final = "UPDATE offerlog_events SET topic = %s, state = %s WHERE notification_id = %s"


def store_as_before(dsn: str, is_chosen: Callable[[str], bool]) -> None:
    """Store some visitors of a store and all their events as an older build did.

    Args:
        dsn: The store; nothing follows its log yet.
        is_chosen: Says of a customer id whether the visitor is one of them.
    """
    with (
        closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as application,
        psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as connection,
    ):
        keys, mapper = application.visitor_keys, application.event_mapper
        for token, kek, wrapped_key, names in connection.execute(_SELECT_VISITORS).fetchall():
            visitor = keys.open_names(token, kek, wrapped_key, names)
            if not is_chosen(visitor.id):
                continue
            key = os.urandom(32)
            former = Sealer(key)
            sealed_names = former.seal(_encode(visitor.id), b"names of %d" % token)
            connection.execute(_UPDATE_VISITOR, (*application.keys.wrap(key), sealed_names, token))
            events = connection.execute(_SELECT_EVENTS, stream_bounds(token)).fetchall()
            for position, stream, version, topic, state in events:
                opened = OpenStream(stream, keys.sealer(kek, wrapped_key))
                recorded = mapper.open_event(stream, opened, version, topic, state)
                name = recorded.event.stored_name
                sealed = former.seal(
                    _encode(recorded.private), place_in_stream(stream, version, name.encode())
                )
                connection.execute(
                    _UPDATE_EVENT,
                    (f"{name}.{_FORMER_VERSION}", _encode((recorded.event, sealed)), position),
                )
