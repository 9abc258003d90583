"""All that the store holds of a visitor, table by table, opened. One snapshot, so that the tables agree."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

from msgspec import MsgspecError, structs
from psycopg import Cursor
from psycopg.rows import dict_row

from offerlog_application.ports.erasure import HeldRow
from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_domain.identity import VisitorKey
from offerlog_domain.service_events import ServiceEvent
from offerlog_domain.stream_ids import first_seen_of, stream_bounds
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_rows import ARCHIVED, select_streams, to_parameters
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_encoding import decode_private
from offerlog_infrastructure.postgres.log.pages import EVENT_COLUMNS
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.postgres.reads.moved_order import RecordedPlace, is_moved, put_in_order
from offerlog_infrastructure.postgres.reads.read_transaction import ONE_SNAPSHOT, read_transaction
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusedTexts
from offerlog_infrastructure.sealing import UnsealError, VisitorSealer

UNREADABLE: Final = "unreadable"
"""The field of a row that could not be opened, with the reason."""

_DAMAGED: Final = (UnreadableEventError, UnsealError, MsgspecError)

_SELECT_VISITOR: LiteralString = "SELECT token, kek, wrapped_key FROM visitors WHERE digest = %s"
_SELECT_EVENTS: LiteralString = f"""
    SELECT notification_id AS position, originator_id AS stream, originator_version AS version,
        topic AS stored_as, state
    FROM (
        SELECT {EVENT_COLUMNS} FROM offerlog_events WHERE originator_id BETWEEN %(first)s AND %(last)s
        UNION ALL SELECT {EVENT_COLUMNS} FROM {ARCHIVED}
    ) AS log ORDER BY notification_id
"""
_BY_TOKEN: Final[Mapping[str, LiteralString]] = {
    "current_offers": """
        SELECT originator_id AS stream, action_map_id, state, stage, since, actions,
            events AS lifecycle_version, withdrawn_at AS timeout_due_at, touched_at
        FROM current_offers WHERE originator_id BETWEEN %s AND %s ORDER BY 1
    """,
    "current_actions": """
        SELECT originator_id AS stream, action_map_id, number, state, stage, since, offered_at, accepted_at,
            started_at
        FROM current_actions WHERE originator_id BETWEEN %s AND %s ORDER BY 1, 2
    """,
    "parked_signals": """
        SELECT originator_id AS stream, version, action_map_id, parked_at, position, raw_length,
            'signal-parked' AS sealed_as, sealed
        FROM parked_signals WHERE originator_id BETWEEN %s AND %s ORDER BY position
    """,
    "suppressions": """
        SELECT stream_id(visitor, action_map_id) AS stream, version, action_map_id, state, since,
            state AS sealed_as, sealed
        FROM suppressions WHERE visitor = %s ORDER BY action_map_id
    """,
    "performance_repeats": """
        SELECT originator_id AS stream, action_map_id, state, scope, media_type, action_map_version, ordinal,
            slot, first_slot, offered_slot, first_offered_slot
        FROM performance_repeats WHERE originator_id BETWEEN %s AND %s ORDER BY 1, 3, 4, 5, 6, 7
    """,
    "blocked_offers": """
        SELECT originator_id AS stream, event_version AS version, action_map_id, slot, reason, media_type
        FROM blocked_offers WHERE originator_id BETWEEN %s AND %s ORDER BY 1, 2
    """,
    "dead_letters": """
        SELECT view AS projection, originator_id AS stream, position, originator_version AS version,
            topic AS stored_as, error, dead_at, waiting
        FROM dead_letters WHERE originator_id BETWEEN %s AND %s ORDER BY 1, 3
    """,
    "named_actions": """
        SELECT action_map_id, recorded_at FROM named_actions WHERE visitor = %s ORDER BY 2, 1
    """,
}
"""The tables in which a visitor is known by the token."""

_WITH_TOKEN: Final = frozenset({"suppressions", "named_actions"})
"""The tables among them with a column of the token. The others have the ids of the streams."""

_SELECT_REFUSALS: LiteralString = """
    SELECT organization, recorded_at, reason, field, cause, action_map_id, sealed_text, raw_length
    FROM refusals WHERE visitor_digest = %s ORDER BY recorded_at, id
"""
_SELECT_COUNTED_BLOCKS: LiteralString = """
    SELECT recorded_at, digest FROM counted_blocks
    WHERE organization = %s AND visitor_digest = %s ORDER BY recorded_at, digest
"""
_SELECT_HOLD: LiteralString = "SELECT held_since AS since, reason FROM legal_holds WHERE digest = %s"


@again_if_replaced
def select_held_rows(
    application: OfferlogApplication, organization: str, digest: UUID, visitor: VisitorKey
) -> Sequence[HeldRow]:
    """Select and open all that is held of a visitor. A row that cannot be opened says why as `unreadable`.

    Args:
        application: The log.
        organization: The tenant.
        digest: The visitor's keyed digest.
        visitor: The identity, which the row of the visitor shows.

    Raises:
        StoreUnavailableError: The store cannot be reached.
        KeyringError: The keyring cannot decrypt the visitor's key.
        ArchiveUnavailableError: A file with archived events cannot be read.
    """
    found: list[HeldRow] = []
    with (
        read_transaction(application.reading) as transaction,
        transaction.connection.cursor(binary=True, row_factory=dict_row) as cursor,
    ):
        cursor.execute(ONE_SNAPSHOT)
        known = cursor.execute(_SELECT_VISITOR, (digest,)).fetchone()
        if known is not None:
            identity = {
                "organization": organization,
                "customer_id": visitor.id,
                "customer_id_type": visitor.type,
            }
            found.append(HeldRow("visitors", identity | {"first_seen": first_seen_of(known["token"])}))
            sealer = application.visitor_keys.sealer(known["kek"], known["wrapped_key"])
            found += _order_events([*_select_events(application, cursor, known["token"], sealer)])
            found += _select_projected(cursor, known["token"], sealer)
        found += _select_refusals(application, cursor, digest)
        blocks = cursor.execute(_SELECT_COUNTED_BLOCKS, (organization, digest)).fetchall()
        found += [HeldRow("counted_blocks", row) for row in blocks]
        found += [HeldRow("legal_holds", row) for row in cursor.execute(_SELECT_HOLD, (digest,)).fetchall()]
    return found


def _select_events(
    application: OfferlogApplication, cursor: Cursor[dict[str, Any]], token: int, sealer: VisitorSealer
) -> Iterator[HeldRow]:
    mapper = application.event_mapper
    first, last = stream_bounds(token)
    archived = select_streams(cursor.connection, application.archived_files, first, last)
    where = {"first": first, "last": last, **to_parameters(archived)}
    for row in cursor.execute(_SELECT_EVENTS, where).fetchall():
        state, stream = row.pop("state"), row["stream"]
        stored = stream, row["version"], row["stored_as"], state
        try:
            event = mapper.event(*stored).event
            fields = row | structs.asdict(event)
            if not isinstance(event, ServiceEvent):
                opened = mapper.open_event(stream, OpenStream(stream, sealer), *stored[1:])
                fields |= structs.asdict(opened.private)
        except _DAMAGED as error:
            fields = row | {UNREADABLE: str(error)}
        yield HeldRow("offerlog_events", fields)


def _order_events(rows: list[HeldRow]) -> Sequence[HeldRow]:
    """Put events in the order in which they were recorded; those of one shard are by their positions."""
    if not is_moved([row.fields["position"] for row in rows]):
        return rows
    places = [
        RecordedPlace(one["position"], one["stream"], one["version"], one.get("recorded_at"))
        for one in (row.fields for row in rows)
    ]
    return [rows[n] for n in put_in_order(places)]


def _select_projected(cursor: Cursor[dict[str, Any]], token: int, sealer: VisitorSealer) -> Iterator[HeldRow]:
    for table, statement in _BY_TOKEN.items():
        where = (token,) if table in _WITH_TOKEN else stream_bounds(token)
        for row in cursor.execute(statement, where).fetchall():
            private: dict[str, Any] = {}
            if "sealed" in row:
                stream, name = OpenStream(row["stream"], sealer), row.pop("sealed_as").encode()
                sealed = row.pop("sealed")
                try:
                    private = structs.asdict(decode_private(stream.open(sealed, row["version"], name)))
                except _DAMAGED as error:
                    private = {UNREADABLE: str(error)}
            yield HeldRow(table, row | private)


def _select_refusals(
    application: OfferlogApplication, cursor: Cursor[dict[str, Any]], digest: UUID
) -> Iterator[HeldRow]:
    texts = RefusedTexts(application.keys)
    for row in cursor.execute(_SELECT_REFUSALS, (digest,)).fetchall():
        where = row.pop("organization"), row["recorded_at"], row["reason"]
        sealed = row.pop("sealed_text")
        try:
            opened: dict[str, Any] = {"raw": texts.open(*where, sealed)}
        except _DAMAGED as error:
            opened = {UNREADABLE: str(error)}
        yield HeldRow("refusals", row | opened)
