"""The visitors of rewritten streams: those that the store has, and those that a page makes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Cursor, sql

from offerlog_domain.identity import OfferKey, VisitorKey
from offerlog_domain.stream_ids import make_stream_id
from offerlog_infrastructure.postgres.log.copying import visitors_statement
from offerlog_infrastructure.postgres.log.visitors import (
    VISITOR_TYPES,
    NewVisitor,
    OpenStream,
    VisitorKeys,
)
from offerlog_infrastructure.postgres.store_keys import StoreKeys

_SELECT_KNOWN: LiteralString = """
    SELECT digest, token, kek, wrapped_key FROM visitors WHERE digest = ANY(%s::text::uuid[])
"""
_SELECT_TAKEN: LiteralString = "SELECT token FROM visitors WHERE token = ANY(%s)"

_COPY: Final = visitors_statement(sql.Identifier("visitors"))


class _FirstSight(NamedTuple):
    """A visitor in the first stream of theirs: visitor-offer, identity, and time of the first event."""

    offer: OfferKey
    visitor: VisitorKey
    at: datetime


class StreamVisitors:
    """Finds and makes the visitors of old streams.

    Args:
        store_keys: The secrets of organizations.
        visitor_keys: Opens and makes visitors' keys.
    """

    def __init__(self, store_keys: StoreKeys, visitor_keys: VisitorKeys) -> None:
        self._store_keys = store_keys
        self._visitor_keys = visitor_keys

    def name(self, organization: str, visitor: VisitorKey, action_map_id: UUID) -> OfferKey:
        """Return the visitor-offer of a stream."""
        return self._store_keys.key(organization).offer(visitor, action_map_id)

    def open(
        self, cursor: Cursor[tuple[Any, ...]], streams: Mapping[UUID, tuple[OfferKey, VisitorKey, datetime]]
    ) -> Mapping[UUID, OpenStream]:
        """Return the stream to write to for each old stream; new visitors are copied into the store.

        Args:
            cursor: Inside the transaction of the page; binary.
            streams: By id of the old stream: the visitor-offer, the visitor, and the time of the first event.
                A visitor's earliest stream comes first.
        """
        wanted: dict[UUID, _FirstSight] = {}
        for offer, visitor, at in streams.values():
            wanted.setdefault(offer.visitor_digest, _FirstSight(offer, visitor, at))
        digests = ",".join([f"{digest.int:032x}" for digest in wanted])
        found = cursor.execute(_SELECT_KNOWN, (f"{{{digests}}}",)).fetchall()
        known = {digest: (token, self._visitor_keys.sealer(kek, key)) for digest, token, kek, key in found}
        made = self._make(cursor, {digest: one for digest, one in wanted.items() if digest not in known})
        known |= {digest: (new.token, new.sealer) for digest, new in made.items()}
        with cursor.copy(_COPY) as copy:
            copy.set_types(VISITOR_TYPES)
            for new in made.values():
                copy.write_row(new.row)
        opened = {}
        for stream, (offer, _, _) in streams.items():
            token, sealer = known[offer.visitor_digest]
            opened[stream] = OpenStream(make_stream_id(token, offer.action_map_id), sealer)
        return opened

    def _make(
        self, cursor: Cursor[tuple[Any, ...]], wanted: Mapping[UUID, _FirstSight]
    ) -> Mapping[UUID, NewVisitor]:
        """Make visitors with tokens that nobody has. After an import, thousands were seen in one second."""
        made: dict[UUID, NewVisitor] = {}
        taken: set[int] = set()
        while len(made) < len(wanted):
            drawn = {
                digest: self._visitor_keys.make(one.offer, one.visitor, one.at)
                for digest, one in wanted.items()
                if digest not in made
            }
            rows = cursor.execute(_SELECT_TAKEN, ([new.token for new in drawn.values()],)).fetchall()
            taken |= {token for (token,) in rows}
            for digest, new in drawn.items():
                if new.token not in taken:
                    taken.add(new.token)
                    made[digest] = new
        return made
