"""Blanking: the sealed parts of an erased visitor's events are replaced by their hashes.

Position, version, stream, topic and public fields stay as they are. A leaf of the Merkle tree holds the hash
of the sealed part, which stays too, so every proof holds (see `transparency.leaves`).
"""

from typing import Final, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row
from psycopg.types.string import BytesBinaryDumper

from offerlog_application.ports.erasure import BlankedEvents
from offerlog_domain.stream_ids import make_visitor_stream_id, stream_bounds
from offerlog_domain.transparency.leaves import BLANKED_BYTES, blank_sealed, split_state

COMMIT_LATER: LiteralString = "SET LOCAL synchronous_commit TO off"
"""For steps that may be repeated. The receipt, which is durable, makes those before it durable too."""

_PAGE: Final = 1_000
"""Events that one transaction blanks."""

_PAIR: Final = b"\x92"
_BLANKED_HEAD: Final = b"\xc4" + BLANKED_BYTES.to_bytes(1, "big")
"""MessagePack for an array of two, and for bytes of the length of a blanked part."""

_SELECT_EVENTS: LiteralString = """
    SELECT originator_id, originator_version, state FROM offerlog_events
    WHERE originator_id BETWEEN %s AND %s AND (originator_id, originator_version) > (%s, %s)
    ORDER BY originator_id, originator_version LIMIT %s
"""
_UPDATE_EVENTS: LiteralString = """
    UPDATE offerlog_events AS e SET state = blanked.state
    FROM unnest(%s::uuid[], %s::int[], %s::bytea[]) AS blanked (id, version, state)
    WHERE e.originator_id = blanked.id AND e.originator_version = blanked.version
      AND e.originator_id BETWEEN %s AND %s
"""


def blank_state(state: bytes) -> bytes | None:
    """Return a stored state with its sealed part blanked; None if it is not a public and a sealed part."""
    parts = split_state(state)
    if parts is None:
        return None
    public, sealed = parts
    return _PAIR + public + _BLANKED_HEAD + blank_sealed(sealed)


def blank_events(connection: Connection[object], token: int) -> BlankedEvents:
    """Blank all events of a visitor, some at a time.

    A stored state of another form is damaged: nothing tells its sealed part. It is counted and left as it is,
    as nothing of it can be decrypted without the key, and an audit shows it.

    Args:
        connection: In auto-commit mode.
        token: The visitor's token.
    """
    low, high = stream_bounds(token)
    own = make_visitor_stream_id(token)
    after, count, unreadable = (low, 0), 0, 0
    with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        cursor.adapters.register_dumper(bytes, BytesBinaryDumper)
        while True:
            rows = cursor.execute(_SELECT_EVENTS, (low, high, *after, _PAGE), prepare=True).fetchall()
            if not rows:
                return BlankedEvents(count, unreadable)
            after = rows[-1][:2]
            events = [row for row in rows if row[0] != own]
            count += len(events)
            changed = []
            for stream, version, state in events:
                blanked = blank_state(state)
                if blanked is None:
                    unreadable += 1
                elif blanked != state:
                    changed.append((stream, version, blanked))
            if changed:
                ids, versions, states = map(list, zip(*changed, strict=True))
                with connection.transaction():
                    cursor.execute(COMMIT_LATER)
                    cursor.execute(_UPDATE_EVENTS, (ids, versions, states, low, high), prepare=True)
