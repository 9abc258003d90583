"""The newest action of a visitor-offer, read from the end of its stream."""

from typing import LiteralString

from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import NewestAction, SliceElsewhereError
from offerlog_domain.event_fields import RecordedEvent
from offerlog_domain.events import EventSinceOffer, LifecycleEvent, Offered, is_lifecycle_event
from offerlog_domain.identity import OfferKey
from offerlog_domain.lifecycle import LONGEST_ACTION
from offerlog_domain.stream_ids import slice_of
from offerlog_domain.visitor_offer import Action
from offerlog_infrastructure.postgres.action_map_policies import read_policy
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.lock_gate import LockGate
from offerlog_infrastructure.postgres.log.application import OfferlogApplication

_SELECT_LAST_LIFECYCLE_EVENTS: LiteralString = """
    SELECT s.is_owned, v.token, v.kek, v.wrapped_key, e.originator_version, e.topic, e.state,
        (SELECT suppress_for FROM action_map_policies WHERE organization = %s AND action_map_id = %s)
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
is one row."""


class NewestActions:
    """The newest actions of the visitor-offers of a log; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._reading = application.reading
        self._mapper = application.event_mapper
        self._keys = application.visitor_keys
        self._gate = LockGate()

    def find(self, offer: OfferKey) -> NewestAction:
        """Return the action that began last, and the policy of its action map.

        Reads the stream backwards from its end to the event that began the action.

        Raises:
            SliceElsewhereError: The store does not own the visitor's slice.
            StoreUnavailableError: The store cannot be reached.
            UnreadableEventError: A stored event is unknown to this build.
        """
        topics = self._mapper.topics(EventSinceOffer)
        with (
            self._gate.passing(_SELECT_LAST_LIFECYCLE_EVENTS),
            store_reached(self._reading),
            self._reading.get_connection() as connection,
        ):
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            stored = cursor.execute(
                _SELECT_LAST_LIFECYCLE_EVENTS,
                (
                    offer.organization,
                    offer.action_map_id,
                    offer.action_map_id,
                    topics,
                    LONGEST_ACTION,
                    offer.visitor_digest,
                    slice_of(offer.visitor_digest),
                ),
                prepare=True,
            ).fetchall()
        events: list[RecordedEvent[LifecycleEvent]] = []
        for is_owned, token, kek, wrapped_key, version, topic, state, suppress_for in stored:
            if not is_owned:
                raise SliceElsewhereError([slice_of(offer.visitor_digest)])
            if token is None:
                break
            stream = self._keys.open_stream(token, kek, wrapped_key, offer.action_map_id)
            recorded = self._mapper.open_event(offer.id, stream, version, topic, state)
            assert is_lifecycle_event(recorded)  # noqa: S101 - the topics belong to lifecycle events
            events.insert(0, recorded)
            if isinstance(recorded.event, Offered):
                return NewestAction(Action(tuple(events)), read_policy(suppress_for))
        return NewestAction()
