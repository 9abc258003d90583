"""Blocked offers as a writer counts them: tallies in streams of its own, and the names of those counted.

Nobody else appends to the streams of a writer. Each organization has one of them; two organizations whose
tokens are equal share one. So no two writers ever want the same version, and no tally makes a group wait or
decide again. A name is a row with a unique key: of two writers that count the same blocked offer, one is
refused and asks again (docs/decisions/0056).
"""

from collections.abc import Collection, Sequence
from typing import Any, LiteralString, NamedTuple
from uuid import UUID, uuid4

from psycopg.rows import tuple_row

from offerlog_domain.blocked_offers import BlockedOffer, tally_blocked
from offerlog_domain.identity import BlockKey
from offerlog_domain.stream_ids import make_tally_stream_id
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.mapper import EventRow

_SELECT_COUNTED: LiteralString = """
    SELECT organization, visitor_digest, digest, (SELECT epoch FROM log_epoch) FROM counted_blocks
    WHERE (organization, visitor_digest, digest) IN (SELECT * FROM unnest(%s::text[], %s::uuid[], %s::uuid[]))
"""


class BlockRows(NamedTuple):
    """The rows that count blocked offers.

    Attributes:
        tallies: The rows of the tallies, for the log.
        names: The rows with the names, in the order in which all writers insert them.
        streams: The visitor-offer of each name.
    """

    tallies: Sequence[EventRow] = ()
    names: Sequence[Sequence[Any]] = ()
    streams: Sequence[UUID] = ()


class CountedBlocks:
    """The blocked offers that a writer counts; for one thread.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.log.datastore
        self._mapper = application.event_mapper
        self._writer = uuid4()
        self._versions: dict[UUID, int] = {}

    def find(self, keys: Collection[BlockKey]) -> tuple[Collection[BlockKey], int | None]:
        """Return those of these names that were counted before, and the epoch; None if none was counted.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        columns = [list(column) for column in zip(*keys, strict=True)]
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            found = cursor.execute(_SELECT_COUNTED, columns).fetchall()
        return {BlockKey(*name) for *name, _ in found}, found[0][-1] if found else None

    def make_rows(self, blocked: Sequence[BlockedOffer]) -> BlockRows:
        """Return the rows that count these, each tally at the next place of its stream."""
        if not blocked:
            return BlockRows()
        versions = self._versions.copy()
        tallies: list[EventRow] = []
        for tally in tally_blocked(blocked):
            stream = make_tally_stream_id(tally.organization, self._writer)
            version = versions[stream] = versions.get(stream, 0) + 1
            tallies.append(self._mapper.service_row(stream, version, tally))
        sorted_keys = sorted(
            (one.key, one.recorded_at, one.offer.id) for one in blocked if one.key is not None
        )
        names = [(*key, recorded_at) for key, recorded_at, _ in sorted_keys]
        return BlockRows(tallies, names, [stream for *_, stream in sorted_keys])

    def note_stored(self, rows: BlockRows) -> None:
        """Note that these rows are stored."""
        for tally in rows.tallies:
            self._versions[tally.originator_id] = tally.originator_version

    def begin_anew(self) -> None:
        """Begin new streams: the store may have rows that were not noted, or lack some that were."""
        self._writer = uuid4()
        self._versions.clear()
