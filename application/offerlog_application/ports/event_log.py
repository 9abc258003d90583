"""The port to the log, and the errors of the store."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from offerlog_application.ports.short_signals import NO_PARKINGS, FoundAction, NamedAction, Parkings
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_domain.action_map_policies import NO_POLICY, ActionMapPolicy
from offerlog_domain.blocked_offers import BlockedOffer
from offerlog_domain.errors import OfferlogError
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import BlockKey, OfferKey, OrganizationKey
from offerlog_domain.outcomes import Refusal
from offerlog_domain.stream_ids import format_slices
from offerlog_domain.visitor_offer import Action, VisitorOffer


class VersionConflictError(OfferlogError):
    """Another writer took, or is about to take, a version that this one needs.

    Attributes:
        streams: The ids of the visitor-offers concerned: one, or all of a visitor whom another writer records
            first. Empty in three cases: another server may answer by now; the waiting of a short signal has
            ended; or another process has counted in a stream of tallies.
        waiting: True while the other writer may still commit or roll back; False if it has committed.
    """

    def __init__(self, *streams: UUID, waiting: bool) -> None:
        names = " and ".join(map(str, streams))
        super().__init__(f"another writer is at visitor-offer {names}" if names else "the store has changed")
        self.streams = frozenset(streams)
        self.waiting = waiting


class StaleEpochError(OfferlogError):
    """An append was decided under another epoch than the current one; nothing was stored (see `WriteFence`).

    Attributes:
        epoch: The current epoch.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__(f"decided under another epoch than {epoch}, the current one")
        self.epoch = epoch


class SliceElsewhereError(OfferlogError):
    """This store does not own the slice of a visitor; nothing of the request was stored.

    Another store owns the slice, or the slice is on its way to one. The store that owns the slice answers the
    request.

    Attributes:
        slices: The numbers of the slices of such visitors (see `slice_of`).
    """

    def __init__(self, slices: Collection[int]) -> None:
        super().__init__(
            f"another store has visitors of this request (slices: {format_slices(slices)}), so nothing of it"
            " was stored: send it again, to that store"
        )
        self.slices = frozenset(slices)


class StoreUnavailableError(OfferlogError):
    """The store cannot do its work now; nothing of the request was stored.

    Attributes:
        trouble: The reason.
        table: The locked table, if it is known; None for any other reason.
        holder: The process of the database server that locks it, and its command; empty if not known.
        detail: The message of the server or the driver. It may name hosts and files.
        summary: The fault and what to do next, without that message: anybody may read it.
    """

    def __init__(
        self,
        detail: str = "",
        trouble: StoreTrouble = StoreTrouble.UNREACHABLE,
        *,
        table: str | None = None,
        holder: str = "",
    ) -> None:
        sentence = f"the table {table} is locked" if table else trouble.sentence
        self.trouble = trouble
        self.table = table
        self.holder = holder
        self.detail = detail
        self.summary = f"{sentence}; {trouble.advice}"
        by = f" ({holder})" if holder else ""
        words = f": {detail}" if detail else ""
        super().__init__(f"{sentence}{by}{words}; {trouble.advice}")


class RefusalsLockedError(StoreUnavailableError):
    """A table of the refusal log is locked; nothing was stored, but events without refusals could be."""


class UnreadableEventError(OfferlogError):
    """A stored event that this build cannot read.

    Attributes:
        topic: The stored name and version of its kind.
        originator_id: The id of its stream.
        originator_version: Its version in the stream, from 1.
    """

    def __init__(self, topic: str, originator_id: object, originator_version: int, cause: str) -> None:
        super().__init__(f"stored event {topic} ({originator_id}, version {originator_version}): {cause}")
        self.topic = topic
        self.originator_id = originator_id
        self.originator_version = originator_version


class ClosedError(OfferlogError):
    """The service has been closed; nothing of this request was stored."""

    def __init__(self) -> None:
        super().__init__("the service has been closed")


class OutcomeUnknownError(OfferlogError):
    """The store went away during a commit, and did not come back to tell the result of the commit.

    Sending the same signals again is safe: recorded signals are recognised.

    Attributes:
        transaction: The store's id of the transaction.
        because: The error of the lost connection; None if it is not known.
    """

    because: StoreUnavailableError | None = None

    def __init__(self, transaction: str, because: StoreUnavailableError | None = None) -> None:
        why = "" if because is None else f" ({because.summary})"
        super().__init__(
            f"the store went away while committing transaction {transaction}{why}; send the same signals"
            " again: what was recorded is recognised"
        )
        self.transaction = transaction
        self.because = because


@dataclass(frozen=True, slots=True)
class HeldStreams:
    """The result of a search for visitor-offers that another writer holds.

    Attributes:
        held: The visitor-offers whose next version another writer is about to take.
        unknown: The visitor-offers that were not examined, because the time was over.
    """

    held: frozenset[UUID] = frozenset()
    unknown: frozenset[UUID] = frozenset()


class NewestAction(NamedTuple):
    """The newest action of a visitor-offer, and the policy of its action map, read at one moment.

    Attributes:
        action: The action that began last; None if no action has begun.
        policy: The policy that is in force; `NO_POLICY` if no action has begun.
    """

    action: Action | None = None
    policy: ActionMapPolicy = NO_POLICY


class EventLog(Protocol):
    """The log, as the writer uses it."""

    def epoch(self) -> int:
        """Return the epoch for the next decisions; ask before the load that they are made from.

        The epoch may have been raised since: then the append raises `StaleEpochError`.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def owned_slices(self, *, anew: bool = False) -> frozenset[int]:
        """Return the slices that this store owns under the epoch that was returned last.

        If epoch or slices have changed since, the append raises `StaleEpochError`.

        Args:
            anew: True to ask the store and not the memory of this process: a slice may have come since.

        Raises:
            StaleEpochError: The epoch is another one by now, or was at the last load.
            StoreUnavailableError: The store cannot be reached.
        """

    def load(self, offers: Collection[OfferKey]) -> Mapping[UUID, VisitorOffer]:
        """Return all these visitor-offers, by id, as they are stored now. An unknown one is at version 0.

        The next append may hold only events of visitor-offers of the last load.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def find_actions(self, actions: Collection[NamedAction]) -> Mapping[NamedAction, FoundAction]:
        """Return the visitor-offers that lately offered these actions, by action, as they are stored now.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def policies(self, organizations: Collection[str]) -> Mapping[str, Mapping[UUID, ActionMapPolicy]]:
        """Return the policies of these organizations, by action map, as they were at the last load or later.

        If a policy has changed since, the append raises `StaleEpochError`.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def counted_blocks(self, keys: Collection[BlockKey]) -> Collection[BlockKey]:
        """Return the keys among these whose blocked offer was counted before.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def append(
        self,
        events: Sequence[RecordedEvent[Event]],
        refusals: Sequence[Refusal],
        offers: Iterable[VisitorOffer],
        blocked: Sequence[BlockedOffer] = (),
        *,
        hurried: bool,
        epoch: int | None,
        parkings: Parkings = NO_PARKINGS,
    ) -> int | None:
        """Store events, refusals, tallies of blocked offers and parkings in one transaction.

        Afterwards, `find_actions` finds the actions that the events offer.

        Args:
            events: The events, in order within each stream.
            refusals: The lines for the refusal log.
            offers: The visitor-offers after the events, to be remembered once the events are stored.
            blocked: The blocked offers to count, in one event for each map and reason (see `tally_blocked`).
                The key of an offer is stored with it; no key is stored twice.
            hurried: True to wait for another writer only briefly.
            epoch: The epoch under which the oldest decision was made; None if nothing was decided.
            parkings: The short signals that begin or end to wait beside the log.

        Returns:
            The last position that was drawn; None without events and tallies.

        Raises:
            StaleEpochError: Nothing was stored; decide everything again, from visitor-offers loaded anew.
            VersionConflictError: Nothing was stored; load those visitor-offers again, and ask again which
                blocked offers were counted. Without any visitor-offer, another process may have ended the
                waiting of a short signal.
            RefusalsLockedError: Nothing was stored; the events could be stored without the refusals.
            StoreUnavailableError: Nothing was stored.
            OutcomeUnknownError: All of it was stored, or nothing.
        """

    def is_current(self, key: OrganizationKey) -> bool:
        """Return False if the secret of a key was destroyed before the epoch that was returned last.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def find_held(self, versions: Mapping[UUID, int], seconds: float, *, urgent: bool) -> HeldStreams:
        """Find the visitor-offers that another writer holds, without waiting for that writer.

        Args:
            versions: The next version that is needed, by visitor-offer; examined in this order.
            seconds: The time for the search.
            urgent: True if others wait for the answer: the search may then cost more, to be faster.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """


class Streams(Protocol):
    """The streams of visitor-offers: the keys of their names, and the newest action of each."""

    def key(self, organization: str) -> OrganizationKey:
        """Return the organization's key for digests of visitors. The first use makes it.

        The key is remembered. It is another one after its secret was destroyed, so ask at each use.
        """

    def remembers_key(self, organization: str) -> bool:
        """Return True if `key` would answer without asking the store."""

    def newest_action(self, offer: OfferKey) -> NewestAction:
        """Return the action that began last, and the policy of its action map.

        Reads the stream from its end back to the beginning of that action.

        Raises:
            SliceElsewhereError: The store does not own the visitor's slice.
            StoreUnavailableError: The store cannot be reached.
        """
