"""The log behind the application's ports. One query loads a whole group; one COPY appends it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from psycopg.rows import tuple_row

from offerlog_application.ports.event_log import (
    HeldStreams,
    NewestAction,
    RefusalsLockedError,
    StaleEpochError,
    StoreUnavailableError,
    VersionConflictError,
)
from offerlog_application.ports.short_signals import NO_PARKINGS, FoundAction, NamedAction, Parkings
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_domain.blocked_offers import BlockedOffer
from offerlog_domain.context import Rules
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import BlockKey, OfferKey, OrganizationKey
from offerlog_domain.outcomes import Refusal
from offerlog_domain.stream_ids import ALL_SLICES
from offerlog_domain.visitor_offer import VisitorOffer
from offerlog_infrastructure.postgres.action_map_policies import select_policies
from offerlog_infrastructure.postgres.errors import ask_again, store_reached
from offerlog_infrastructure.postgres.known_policies import KnownPolicies, Policies
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.cache import OfferCache
from offerlog_infrastructure.postgres.log.copying import (
    REFUSAL_TABLES,
    BlockConflictError,
    ParkingEndedError,
    RowConflictError,
    StaleLoadError,
    VisitorConflictError,
)
from offerlog_infrastructure.postgres.log.counted_blocks import BlockRows, CountedBlocks
from offerlog_infrastructure.postgres.log.group_streams import GroupStreams
from offerlog_infrastructure.postgres.log.held_streams import HeldStreamsFinder
from offerlog_infrastructure.postgres.log.horizon import SELECT_LAST_POSITION
from offerlog_infrastructure.postgres.log.mapper import EventRow
from offerlog_infrastructure.postgres.log.newest_actions import NewestActions
from offerlog_infrastructure.postgres.log.short_signals import ShortSignalTables
from offerlog_infrastructure.postgres.log.stream_loader import StreamLoader
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusedTexts

if TYPE_CHECKING:
    from offerlog_infrastructure.postgres.refusals.text_quota import TextQuota

_CACHED_EVENTS: Final = 50_000
"""The most events that the cached visitor-offers of a process hold together; each takes about a kilobyte."""

_EVENTS_WORTH_CACHING: Final = 100
"""A load that reads at least so many events of one visitor-offer is cached, even if it appends no event. A
crowded visitor-offer refuses signals without appending any, and would be read again each time."""

_FIND_ANSWER_SECONDS: Final = 15.0
"""Seconds to wait for the answer to a search for held streams, which itself takes a part of a second."""

_LogRow = tuple[EventRow, RecordedEvent[Event] | None]
"""A row, and its event; None for a tally."""


class PostgresLog:
    """The application's `EventLog` and `Streams`. One writer alone may call the methods of `EventLog`.

    A method has the errors of the method of `EventLog`, and those that it names.

    Args:
        application: The log.
        quota: Removes the texts of refusals beyond the daily quota; None keeps all texts.
        rules: Their `named_action_time` is how long an action is found by its id alone; None for the default.
    """

    def __init__(
        self,
        application: OfferlogApplication,
        quota: "TextQuota | None" = None,
        rules: Rules | None = None,
    ) -> None:
        self._application = application
        self._quota = quota
        self._mapper = application.event_mapper
        self._cache = OfferCache(_CACHED_EVENTS)
        self._finder = HeldStreamsFinder(lambda: application.connect(_FIND_ANSWER_SECONDS))
        self._keys = application.visitor_keys
        self._streams = GroupStreams((), self._keys)
        self._texts = RefusedTexts(application.keys)
        self._short_signals = ShortSignalTables(application, (rules or Rules()).named_action_time)
        self._newest_actions = NewestActions(application)
        self._blocks = CountedBlocks(application)
        self._epoch: int | None = None
        self._owned_slices = ALL_SLICES
        self._has_archive = True  # as long as it is not known
        self._loader = StreamLoader(application)
        self._epoch_at_load: int | None = None
        self._policies = KnownPolicies(self._select_policies)
        self._are_keys_stale = True

    def epoch(self) -> int:
        """Return the epoch that was read last; from the store at first.

        The secrets of organizations that are remembered afterwards were read under it, or later.
        """
        if self._epoch is None:
            with store_reached(self._application.log.datastore):
                state = self._application.log.select_epoch_state()
            self._epoch, self._owned_slices, self._has_archive = state
        if self._are_keys_stale:
            self._application.keys.refresh_secrets()
            self._are_keys_stale = False
        return self._epoch

    def owned_slices(self, *, anew: bool = False) -> frozenset[int]:
        """Return the slices whose visitors this store records, under the epoch that was returned last.

        They change with the epoch alone, so the look before a commit is a look at them, too. A decision that
        appends nothing has no such look: it counts if the load saw the same epoch.
        """
        epoch, now = self.epoch(), self._epoch_at_load
        if anew:
            with store_reached(self._application.log.datastore):
                now, self._owned_slices, _ = self._application.log.select_epoch_state()
        if now is not None and now != epoch:
            stale = StaleEpochError(now)
            self._forget(stale)
            raise stale
        return self._owned_slices

    def load(self, offers: Collection[OfferKey]) -> Mapping[UUID, VisitorOffer]:
        """Load visitor-offers as they are stored now; an unknown one is at version 0.

        Raises:
            VersionConflictError: Another server has taken over meanwhile; load again.
            UnreadableEventError: A stored event is unknown to this build.
            ArchiveUnavailableError: A file with archived events cannot be read.
        """
        self._streams = GroupStreams(offers, self._keys)
        self._epoch_at_load = None
        known = {offer.id: self._cache.get(offer.id) for offer in offers}
        loaded = {offer_id: offer for offer_id, (offer, _) in known.items()}
        states: dict[UUID, bytes] = {}
        confirmed = self._fold_newer_events(offers, loaded, known, states)
        lost = [offer for offer in offers if known[offer.id][0].version and offer.id not in confirmed]
        if lost:  # the store does not have the cached events: read these streams from their beginning
            server = self._loader.server
            loaded |= {offer.id: VisitorOffer(offer.id) for offer in lost}
            self._fold_newer_events(lost, loaded, {}, states)
            if self._loader.server != server:  # what the first query confirmed may be missing there
                raise VersionConflictError(waiting=False)
        reread = {offer.id for offer in lost}
        for offer_id, state in states.items():
            added = loaded[offer_id].version - known[offer_id][0].version
            if added >= _EVENTS_WORTH_CACHING or offer_id in reread:
                self._cache.put(loaded[offer_id], state)
        return loaded

    def _fold_newer_events(
        self,
        offers: Collection[OfferKey],
        loaded: dict[UUID, VisitorOffer],
        known: Mapping[UUID, tuple[VisitorOffer, bytes]],
        states: dict[UUID, bytes],
    ) -> set[UUID]:
        """Fold what the loader finds; returns the visitor-offers whose last known event the store has."""
        confirmed = self._loader.fold(
            self._streams, offers, loaded, known, states, has_archive=self._has_archive
        )
        if self._loader.epoch is not None:  # of a group of unknown visitors, no offer is suppressed
            self._epoch_at_load = self._loader.epoch
            self._policies.note_epoch(self._epoch_at_load)
        return confirmed

    def find_actions(self, actions: Collection[NamedAction]) -> Mapping[NamedAction, FoundAction]:
        """Return all these actions, as the store knows them now."""
        return self._short_signals.find(actions)

    def policies(self, organizations: Collection[str]) -> Policies:
        """Return the policies of these organizations, as they were at the last load or later."""
        return self._policies.of(organizations)

    def _select_policies(self, organizations: Collection[str]) -> Policies:
        datastore = self._application.log.datastore
        with store_reached(datastore), datastore.get_connection() as connection:
            return select_policies(connection, organizations)

    def counted_blocks(self, keys: Collection[BlockKey]) -> Collection[BlockKey]:
        """Return those of these names of blocked offers that were counted before."""
        found, epoch = self._blocks.find(keys)
        self._epoch_at_load = self._epoch_at_load if epoch is None else epoch
        return found

    def append(
        self,
        events: Sequence[RecordedEvent[Event]],
        refusals: Sequence[Refusal],
        offers: Iterable[VisitorOffer] = (),
        blocked: Sequence[BlockedOffer] = (),
        *,
        hurried: bool = False,
        epoch: int | None = None,
        parkings: Parkings = NO_PARKINGS,
    ) -> int | None:
        """Store all in one transaction; returns the last position, None without events and tallies.

        Raises:
            StaleEpochError: The epoch has been raised. Nothing was stored, and nothing is cached any more.
            VersionConflictError: Another writer was first. Nothing was stored; load the streams again.
            RefusalsLockedError: A table of refusals is locked. Nothing was stored; events alone could be.
            OutcomeUnknownError: It may or may not have been stored.
        """
        if not hurried:
            self._finder.release()  # no other writer is in the way any more
        block_rows = self._blocks.make_rows(blocked)
        log_rows = self._to_rows(events, block_rows.tallies)
        rows, visitors = [row for row, _ in log_rows], self._streams.new_visitors() if events else ()
        try:
            if refusals and self._quota is not None:
                refusals = self._apply_quota(refusals, self._quota)
            sealed = self._texts.to_rows(refusals)
            with store_reached(self._application.log.datastore):
                position = self._application.log.append(
                    rows,
                    sealed,
                    visitors,
                    block_rows.names,
                    hurried=hurried,
                    epoch=self.epoch() if epoch is None else epoch,
                    loaded_from=self._loader.server if rows else None,
                    besides=self._short_signals.make_steps(log_rows, parkings),
                )
        except BaseException as error:
            self._forget(error)
            explained = self._explain(error, visitors, log_rows, block_rows)
            if explained is None:
                raise
            raise explained from error
        self._streams.note_stored(visitors)
        self._blocks.note_stored(block_rows)
        last = {event.originator_id: row.state for row, event in log_rows if event is not None}
        for offer in offers:
            if offer.id in last:
                self._cache.put(offer, last[offer.id])
        return position

    def _forget(self, error: BaseException) -> None:
        """Forget what may be wrong after an append that has failed, or once the epoch is another one."""
        if self._quota is not None:
            self._quota.forget()
        if isinstance(error, StaleEpochError):
            self._epoch = self._epoch_at_load = None
            self._has_archive = True
        if isinstance(error, StaleEpochError | StaleLoadError):
            self._cache = OfferCache(_CACHED_EVENTS)
            self._policies.note_epoch(None)
            self._keys.forget()
            self._application.keys.forget()
            self._are_keys_stale = True
        if not isinstance(error, StaleEpochError | RowConflictError):
            self._blocks.begin_anew()

    def _explain(
        self,
        error: BaseException,
        visitors: Sequence[Sequence[Any]],
        log_rows: Sequence[_LogRow],
        block_rows: BlockRows,
    ) -> VersionConflictError | RefusalsLockedError | None:
        """Return the error that names what an append wants and others have; None for any other error."""
        if isinstance(error, RowConflictError):
            streams: Collection[UUID]
            if isinstance(error, VisitorConflictError):
                streams = self._streams.offers_of(visitors[error.row][1])
            elif isinstance(error, BlockConflictError):
                streams = [block_rows.streams[error.row]]
            elif (event := log_rows[error.row][1]) is not None:
                streams = [event.originator_id]
            else:  # nobody else appends to a tally's stream, so this store is not that of the last append
                self._blocks.begin_anew()
                return VersionConflictError(waiting=False)
            return VersionConflictError(*streams, waiting=error.waiting)
        if isinstance(error, StaleLoadError | ParkingEndedError):
            return VersionConflictError(waiting=False)
        if isinstance(error, StoreUnavailableError) and error.table in REFUSAL_TABLES:
            return _to_refusals_locked(error)
        return None

    def _to_rows(self, events: Sequence[RecordedEvent[Event]], tallies: Sequence[EventRow]) -> list[_LogRow]:
        """Encode events as rows, and put all rows into the order of streams that all writers keep.

        In one order, two writers never wait for each other.
        """
        open_stream, row = self._streams.open, self._mapper.row
        log_rows: list[_LogRow] = [
            (row(event, open_stream(event.originator_id, event.event.recorded_at)), event) for event in events
        ]
        log_rows += [(tally, None) for tally in tallies]
        log_rows.sort(key=_get_stream_order)
        return log_rows

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
            keys = [self._streams.held_key(offer_id, version) for offer_id, version in versions.items()]
            return self._finder.find(keys, seconds, urgent=urgent)

    def last(self) -> int:
        """Return the last position in the log; 0 if the log is empty.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        return ask_again(self._select_last)

    def _select_last(self) -> int:
        datastore = self._application.log.datastore
        with store_reached(datastore), datastore.get_connection() as connection:
            row = connection.cursor(row_factory=tuple_row).execute(SELECT_LAST_POSITION).fetchone()
        return int(row[0] or 0) if row is not None else 0

    def newest_action(self, offer: OfferKey) -> NewestAction:
        """Return the action that began last, and the policy of its action map."""
        return self._newest_actions.find(offer)

    def close(self) -> None:
        """Close the connections that `find_held` keeps; for the one writer."""
        self._finder.release()

    def key(self, organization: str) -> OrganizationKey:
        """Return the organization's key for digests of visitors; make it at first use.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt its secret.
        """
        return self._application.keys.key(organization)

    def remembers_key(self, organization: str) -> bool:
        """Return True if `key` would answer without asking the store."""
        return self._application.keys.remembers(organization)

    def is_current(self, key: OrganizationKey) -> bool:
        """Return False if the secret of a key was destroyed since, as far as `epoch` has told last.

        Raises:
            KeyringError: The keyring cannot decrypt the secret of the organization.
        """
        return self._application.keys.is_current(key)


def _to_refusals_locked(error: StoreUnavailableError) -> RefusalsLockedError:
    known = error.table in REFUSAL_TABLES
    table, holder = (error.table, error.holder) if known else (None, "")
    return RefusalsLockedError(error.detail, error.trouble, table=table, holder=holder)


def _get_stream_order(row: _LogRow) -> int:
    return row[0].originator_id.int
