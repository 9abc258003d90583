"""The newest action of a visitor-offer, read from the end of its stream."""

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import NewestAction, SliceElsewhereError
from offerlog_domain.event_fields import RecordedEvent
from offerlog_domain.events import EventSinceOffer, LifecycleEvent, Offered, is_lifecycle_event
from offerlog_domain.identity import OfferKey
from offerlog_domain.lifecycle import LONGEST_ACTION
from offerlog_domain.stream_ids import make_stream_id, slice_of
from offerlog_domain.visitor_offer import Action
from offerlog_infrastructure.postgres.action_map_policies import read_policy
from offerlog_infrastructure.postgres.archive.archived_files import again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_rows import select_streams
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.lock_gate import LockGate
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.read_transaction import ONE_SNAPSHOT

_SELECT_LAST_LIFECYCLE_EVENTS: LiteralString = """
    SELECT s.is_owned, v.token, v.kek, v.wrapped_key, e.originator_version, e.topic, e.state,
        (SELECT suppress_for FROM action_map_policies WHERE organization = %s AND action_map_id = %s),
        EXISTS (SELECT FROM archive_place)
    FROM slices s LEFT JOIN (
        visitors v CROSS JOIN LATERAL (
            SELECT originator_version, topic, state FROM offerlog_events
            WHERE originator_id = stream_id(v.token, %s) AND topic = ANY(%s)
            ORDER BY originator_version DESC LIMIT %s
        ) AS e
    ) ON v.digest = %s
    WHERE s.slice = %s ORDER BY e.originator_version DESC
"""
"""Only the newest action changes, so the last lifecycle events of a stream hold all of it. Without any, there
is one row, which does not have the visitor either."""

_SELECT_VISITOR: LiteralString = "SELECT token, kek, wrapped_key FROM visitors WHERE digest = %s"

_Row = tuple[Any, ...]
"""The columns of the statement."""


class NewestActions:
    """The newest actions of the visitor-offers of a log; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._reading = application.reading
        self._mapper = application.event_mapper
        self._keys = application.visitor_keys
        self._files = application.archived_files
        self._gate = LockGate()

    def find(self, offer: OfferKey) -> NewestAction:
        """Return the action that began last, and the policy of its action map.

        Reads the stream backwards from its end to the event that began the action.

        Raises:
            SliceElsewhereError: The store does not own the visitor's slice.
            StoreUnavailableError: The store cannot be reached.
            UnreadableEventError: A stored event is unknown to this build.
            ArchiveUnavailableError: A file with archived events cannot be read.
        """
        stored = self._select(offer)
        events: list[RecordedEvent[LifecycleEvent]] = []
        if not stored[0][0]:
            raise SliceElsewhereError([slice_of(offer.visitor_digest)])
        for _, token, kek, wrapped_key, version, topic, state, suppress_for, _ in stored:
            if token is None:
                continue
            stream = self._keys.open_stream(token, kek, wrapped_key, offer.action_map_id)
            recorded = self._mapper.open_event(offer.id, stream, version, topic, state)
            assert is_lifecycle_event(recorded)  # noqa: S101 - the topics belong to lifecycle events
            events.insert(0, recorded)
            if isinstance(recorded.event, Offered):
                return NewestAction(Action(tuple(events)), read_policy(suppress_for))
        return NewestAction()

    @again_if_replaced
    def _select(self, offer: OfferKey) -> Sequence[_Row]:
        """Select the last lifecycle events, the newest first; at least one row."""
        topics = self._mapper.topics(EventSinceOffer)
        with (
            self._gate.passing(_SELECT_LAST_LIFECYCLE_EVENTS),
            store_reached(self._reading),
            self._reading.get_connection() as connection,
        ):
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            asked = (
                offer.organization,
                offer.action_map_id,
                offer.action_map_id,
                topics,
                LONGEST_ACTION,
                offer.visitor_digest,
                slice_of(offer.visitor_digest),
            )
            stored: list[_Row] = cursor.execute(_SELECT_LAST_LIFECYCLE_EVENTS, asked, prepare=True).fetchall()
            if not stored[0][8] or not self._select_archived(connection, offer, stored, topics):
                return stored
            with connection.transaction():
                cursor.execute(ONE_SNAPSHOT)  # an erasure between two statements would blank the events
                stored = cursor.execute(_SELECT_LAST_LIFECYCLE_EVENTS, asked, prepare=True).fetchall()
                return [*stored, *self._select_archived(connection, offer, stored, topics)]

    def _select_archived(
        self, connection: Connection[Any], offer: OfferKey, stored: Sequence[_Row], topics: Sequence[str]
    ) -> list[_Row]:
        """Select the archived ones, unless the others hold the beginning of an action."""
        begins = self._mapper.topics(Offered)
        if any(row[5] in begins for row in stored):
            return []
        is_owned, *visitor = stored[0][:4]
        if visitor[0] is None:
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            found = cursor.execute(_SELECT_VISITOR, (offer.visitor_digest,), prepare=True).fetchone()
            if found is None:
                return []
            visitor = list(found)
        stream = make_stream_id(visitor[0], offer.action_map_id)
        seen = {row[4] for row in stored}
        return [
            (is_owned, *visitor, version, topic, state, *stored[0][7:])
            for _, _, version, topic, state in reversed(
                select_streams(connection, self._files, stream, stream)
            )
            if topic in topics and version not in seen
        ]
