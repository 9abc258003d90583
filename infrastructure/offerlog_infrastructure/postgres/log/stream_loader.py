"""The streams of a group of visitor-offers, read for the writer."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_domain.identity import OfferKey
from offerlog_domain.stream_ids import make_stream_id
from offerlog_domain.visitor_offer import VisitorOffer, evolve
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_rows import select_each
from offerlog_infrastructure.postgres.connections import StoreConnection
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.group_streams import GroupStreams
from offerlog_infrastructure.postgres.log.stream_statements import (
    SELECT_NEWER_EVENTS,
    SELECT_NEWER_EVENTS_AND_ARCHIVED,
)
from offerlog_infrastructure.postgres.reads.read_transaction import ONE_SNAPSHOT

_LoadedRow = tuple[Any, ...]
"""Place in the group, token, key that encrypts the visitor's key, that key, version, topic, state, and epoch.

Version, topic and state are None in the row of a visitor without such events.
"""

_COLUMNS: Final = 8


class StreamLoader:
    """Reads streams and folds them; for the one writer.

    Args:
        application: The log.

    Attributes:
        server: The server that the last call has asked; None before the first one.
        epoch: The epoch that the last call has seen; None if it met no known visitor.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self.server: str | None = None
        self.epoch: int | None = None
        self._application = application
        self._mapper = application.event_mapper

    def fold(
        self,
        streams: GroupStreams,
        offers: Collection[OfferKey],
        loaded: dict[UUID, VisitorOffer],
        known: Mapping[UUID, tuple[VisitorOffer, bytes]],
        states: dict[UUID, bytes],
        *,
        has_archive: bool,
    ) -> set[UUID]:
        """Fold the events of these visitor-offers from each one's version on.

        Args:
            streams: Takes the streams that are met.
            offers: The visitor-offers.
            loaded: What is known of them; brought up to date.
            known: The cached ones, each with the stored state of its last event.
            states: Takes the stored state of the last event that is folded, by visitor-offer.
            has_archive: True to look for archived events. It is known under the epoch, so an answer without
                them is never built upon.

        Returns:
            The visitor-offers whose last known event the store has.

        Raises:
            UnreadableEventError: A stored event is unknown to this build.
            ArchiveUnavailableError: A file with archived events cannot be read.
        """
        keys, confirmed = list(offers), set[UUID]()
        open_event, add = self._mapper.open_event, streams.add
        for place, token, kek, wrapped_key, version, topic, state, _ in self._select(
            keys, loaded, confirmed, has_archive=has_archive
        ):
            key = keys[place - 1]
            offer_id = key.id
            stream = add(key, token, kek, wrapped_key)
            if version is None:
                continue
            offer = loaded[offer_id]
            if version != offer.version:
                event = open_event(offer_id, stream, version, topic, state)
                loaded[offer_id] = evolve(offer, event)
                states[offer_id] = state
            elif known[offer_id][1] == state:
                confirmed.add(offer_id)
        return confirmed

    @again_if_replaced
    def _select(
        self,
        offers: Sequence[OfferKey],
        loaded: Mapping[UUID, VisitorOffer],
        confirmed: set[UUID],
        *,
        has_archive: bool,
    ) -> Sequence[_LoadedRow]:
        """Select the events of these streams from each one's version on, stream by stream in order."""
        # As text: the driver takes arrays apart in Python, which costs more than the look-up itself.
        digests = ",".join([f"{offer.visitor_digest.int:032x}" for offer in offers])
        maps = ",".join([f"{offer.action_map_id.int:032x}" for offer in offers])
        versions = ",".join([str(loaded[offer.id].version) for offer in offers])
        with (
            store_reached(self._application.log.datastore),
            self._application.log.datastore.get_connection() as connection,
        ):
            assert isinstance(connection, StoreConnection)  # noqa: S101 - the pool makes no other
            self.server = connection.server
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            statement = SELECT_NEWER_EVENTS_AND_ARCHIVED if has_archive else SELECT_NEWER_EVENTS
            asked = f"{{{digests}}}", f"{{{maps}}}", f"{{{versions}}}"
            rows: list[_LoadedRow] = cursor.execute(statement, asked, prepare=True).fetchall()
            if has_archive and self._find_archived(offers, loaded, confirmed, rows):
                with connection.transaction():
                    cursor.execute(ONE_SNAPSHOT)  # an erasure between two statements would blank the events
                    rows = cursor.execute(statement, asked, prepare=True).fetchall()
                    found = self._add_archived(connection, offers, loaded, confirmed, rows)
            else:
                found = [row[:_COLUMNS] for row in rows] if has_archive else rows
        self.epoch = rows[0][7] if rows else None
        return found

    @staticmethod
    def _find_archived(
        offers: Sequence[OfferKey],
        loaded: Mapping[UUID, VisitorOffer],
        confirmed: set[UUID],
        rows: Sequence[_LoadedRow],
    ) -> dict[UUID, _LoadedRow]:
        """Find the streams with archived events that are not known, each with one of its rows.

        A cached visitor-offer that ends with its archived part is confirmed without a look into the file:
        the epoch has been raised since, so the cache was filled from there.
        """
        wanted: dict[UUID, _LoadedRow] = {}
        for row in rows:
            offer, archived = offers[row[0] - 1], row[8]
            if archived is None:
                continue
            version = loaded[offer.id].version
            if version < archived:
                wanted[make_stream_id(row[1], offer.action_map_id)] = row
            elif version == archived:
                confirmed.add(offer.id)
        return wanted

    def _add_archived(
        self,
        connection: Connection[Any],
        offers: Sequence[OfferKey],
        loaded: Mapping[UUID, VisitorOffer],
        confirmed: set[UUID],
        rows: Sequence[_LoadedRow],
    ) -> list[_LoadedRow]:
        """Put the archived events that are not known before those of the table."""
        wanted = self._find_archived(offers, loaded, confirmed, rows)
        found: list[_LoadedRow] = []
        for _, stream, version, topic, state in select_each(
            connection, self._application.archived_files, list(wanted)
        ):
            place, *visitor = wanted[stream][:4]
            if version >= loaded[offers[place - 1].id].version:
                found.append((place, *visitor, version, topic, state, None))
        seen = {(row[0], row[4]) for row in found}
        found += [row[:_COLUMNS] for row in rows if (row[0], row[4]) not in seen]
        return found
