"""The log behind the application's ports. One query loads a whole group; one COPY appends it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, LiteralString
from uuid import UUID

from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import (
    HeldStreams,
    RefusalsLockedError,
    StaleEpochError,
    StoreUnavailableError,
)
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.events import LifecycleEvent, Offered, is_lifecycle_event
from offerlog_domain.lifecycle import LONGEST_ACTION
from offerlog_domain.outcomes import Refusal
from offerlog_domain.visitor_offer import Action, VisitorOffer, evolve
from offerlog_infrastructure.postgres.errors import ask_again, store_reached
from offerlog_infrastructure.postgres.lock_gate import LockGate
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.cache import OfferCache
from offerlog_infrastructure.postgres.log.copying import REFUSAL_TABLES
from offerlog_infrastructure.postgres.log.held_streams import HeldStreamsFinder
from offerlog_infrastructure.postgres.log.mapper import EventRow
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusedTexts

if TYPE_CHECKING:
    from offerlog_infrastructure.postgres.refusals.text_quota import TextQuota

_SELECT_NEWER_EVENTS: LiteralString = """
    SELECT e.originator_id, e.originator_version, e.topic, e.state
    FROM unnest(%s::text::uuid[], %s::text::int[]) AS known (id, version)
    CROSS JOIN LATERAL (
        SELECT * FROM offerlog_events
        WHERE originator_id = known.id AND originator_version >= known.version ORDER BY originator_version
    ) AS e
"""
"""Events after the cached version, plus the event at that version, to detect a lost tail."""

_SELECT_LAST_LIFECYCLE_EVENTS: LiteralString = """
    SELECT originator_version, topic, state FROM offerlog_events
    WHERE originator_id = %s AND topic = ANY(%s)
    ORDER BY originator_version DESC LIMIT %s
"""
"""Only the newest action changes, so the last lifecycle events of a stream hold all of it."""

_CACHED_EVENTS: Final = 50_000
"""The most events that the cached visitor-offers of a process hold together; each takes about a kilobyte."""

_EVENTS_WORTH_CACHING: Final = 100
"""A load that reads at least so many events of one visitor-offer is cached, even if it appends no event. A
crowded visitor-offer refuses signals without appending any, and would be read again each time."""


class PostgresLog:
    """The application's `EventLog` and `Streams`. One writer alone may call the methods of `EventLog`.

    Args:
        application: The log.
        quota: Removes the texts of refusals beyond the daily quota; None keeps all texts.
    """

    def __init__(
        self,
        application: OfferlogApplication,
        quota: "TextQuota | None" = None,
    ) -> None:
        self._application = application
        self._quota = quota
        self._mapper = application.event_mapper
        self._cache = OfferCache(_CACHED_EVENTS)
        self._finder = HeldStreamsFinder(application.connect)
        self._texts = RefusedTexts(application.keys)
        self._gate = LockGate()
        self._epoch: int | None = None

    def epoch(self) -> int:
        """Return the epoch that was read last; from the store at first.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        if self._epoch is None:
            with store_reached(self._application.log.datastore):
                self._epoch = self._application.log.select_epoch()
        return self._epoch

    def load(self, streams: Collection[UUID]) -> Mapping[UUID, VisitorOffer]:
        """Load visitor-offers as they are stored now; an unknown one is at version 0.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            UnreadableEventError: A stored event is unknown to this build.
        """
        known = {stream: self._cache.get(stream) for stream in streams}
        offers = {stream: offer for stream, (offer, _) in known.items()}
        missing = {stream for stream, offer in offers.items() if offer.version}
        states: dict[UUID, bytes] = {}
        event = self._mapper.event
        for stream, version, topic, state in self._select_newer_events(offers):
            offer = offers[stream]
            if version != offer.version:
                offers[stream] = evolve(offer, event(stream, version, topic, state))
                states[stream] = state
            elif known[stream][1] == state:
                missing.discard(stream)
        if missing:  # the store does not have the cached events: read these streams from their beginning
            offers |= {stream: VisitorOffer(stream) for stream in missing}
            for stream, version, topic, state in self._select_newer_events(
                {stream: offers[stream] for stream in missing}
            ):
                offers[stream] = evolve(offers[stream], event(stream, version, topic, state))
                states[stream] = state
        for stream, state in states.items():
            if (
                offers[stream].version - known[stream][0].version >= _EVENTS_WORTH_CACHING
                or stream in missing
            ):
                self._cache.put(offers[stream], state)
        return offers

    def _select_newer_events(
        self, offers: Mapping[UUID, VisitorOffer]
    ) -> Sequence[tuple[UUID, int, str, bytes]]:
        """Select the events of these streams from each one's version on, stream by stream in order."""
        # As text: the driver takes arrays apart in Python, which costs more than the look-up itself.
        ids = ",".join([f"{stream.int:032x}" for stream in offers])
        versions = ",".join([str(offer.version) for offer in offers.values()])
        with (
            store_reached(self._application.log.datastore),
            self._application.log.datastore.get_connection() as connection,
        ):
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            return cursor.execute(
                _SELECT_NEWER_EVENTS, (f"{{{ids}}}", f"{{{versions}}}"), prepare=True
            ).fetchall()

    def append(
        self,
        events: Sequence[RecordedEvent[Event]],
        refusals: Sequence[Refusal],
        offers: Iterable[VisitorOffer] = (),
        *,
        hurried: bool = False,
        epoch: int | None = None,
    ) -> int | None:
        """Store events and refusals in one transaction; returns the last position, None without events.

        Raises:
            StaleEpochError: The epoch has been raised. Nothing was stored, and nothing is cached any more.
            VersionConflictError: Another writer was first. Nothing was stored; load that stream again.
            RefusalsLockedError: A table of refusals is locked. Nothing was stored; events alone could be.
            StoreUnavailableError: Nothing was stored.
            OutcomeUnknownError: It may or may not have been stored.
        """
        if not hurried:
            self._finder.release()  # no other writer is in the way any more
        # All writers insert streams in one order, so two of them never wait for each other.
        rows = sorted(map(self._mapper.row, events), key=_get_stream_order)
        try:
            if refusals and self._quota is not None:
                refusals = self._apply_quota(refusals, self._quota)
            sealed = self._texts.to_rows(refusals)
            with store_reached(self._application.log.datastore):
                position = self._application.log.append(
                    rows, sealed, hurried=hurried, epoch=self.epoch() if epoch is None else epoch
                )
        except BaseException as error:
            if self._quota is not None:
                self._quota.forget()
            if isinstance(error, StaleEpochError):
                self._epoch, self._cache = error.epoch, OfferCache(_CACHED_EVENTS)
            if isinstance(error, StoreUnavailableError) and error.table in REFUSAL_TABLES:
                raise _to_refusals_locked(error) from error
            raise
        last = {row.originator_id: row.state for row in rows}
        for offer in offers:
            if offer.id in last:
                self._cache.put(offer, last[offer.id])
        return position

    @staticmethod
    def _apply_quota(refusals: Sequence[Refusal], quota: "TextQuota") -> Sequence[Refusal]:
        try:
            return quota.apply(refusals)
        except StoreUnavailableError as error:
            if error.trouble is StoreTrouble.LOCKED:  # the quota reads tables of the refusal log alone
                raise _to_refusals_locked(error) from error
            raise

    def find_held(self, versions: Mapping[UUID, int], seconds: float, *, urgent: bool) -> HeldStreams:
        """Find the visitor-offers that another writer holds, without waiting for that writer.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        with store_reached(self._application.log.datastore):
            return self._finder.find(versions, seconds, urgent=urgent)

    def last(self) -> int:
        """Return the last position in the log; 0 if the log is empty.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        return ask_again(self._select_last)

    def _select_last(self) -> int:
        with store_reached(self._application.log.datastore):
            return int(self._application.log.max_notification_id() or 0)

    def newest_action(self, stream: UUID) -> Action | None:
        """Return the action that began last; None if none has begun.

        Reads the stream backwards from its end to the event that began the action.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            UnreadableEventError: A stored event is unknown to this build.
        """
        topics = self._mapper.topics(LifecycleEvent)
        with (
            self._gate.passing(_SELECT_LAST_LIFECYCLE_EVENTS),
            store_reached(self._application.reading),
            self._application.reading.get_connection() as connection,
        ):
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            stored = cursor.execute(
                _SELECT_LAST_LIFECYCLE_EVENTS, (stream, topics, LONGEST_ACTION), prepare=True
            ).fetchall()
        events: list[RecordedEvent[LifecycleEvent]] = []
        for version, topic, state in stored:
            recorded = self._mapper.event(stream, version, topic, state)
            assert is_lifecycle_event(recorded)  # noqa: S101 - the topics belong to lifecycle events
            events.insert(0, recorded)
            if isinstance(recorded.event, Offered):
                return Action(tuple(events))
        return None

    def close(self) -> None:
        """Close the connections that `find_held` keeps; for the one writer."""
        self._finder.release()

    def secret(self, organization: str) -> bytes:
        """Return the organization's key for stream ids, 32 bytes; make it at first use.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt it.
        """
        return self._application.keys.secret(organization)


def _to_refusals_locked(error: StoreUnavailableError) -> RefusalsLockedError:
    known = error.table in REFUSAL_TABLES
    table, holder = (error.table, error.holder) if known else (None, "")
    return RefusalsLockedError(error.detail, error.trouble, table=table, holder=holder)


def _get_stream_order(row: EventRow) -> int:
    return row.originator_id.int
