"""Ports to the lists, look-ups and counts that are read from the projections."""

from collections.abc import Collection, Generator, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from offerlog_application.ports.deadlines import Deadlines
from offerlog_application.ports.performance_counts import PerformanceCounts
from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.read_models import (
    Freshness,
    KeptSignal,
    Lookup,
    PlacedEvent,
    ProjectionStatus,
    Suppression,
)
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import ActionMapId, OfferKey, VisitorKey


class ReadSide(Deadlines, Protocol):
    """Lists of read models, look-ups of suppressions, and the positions of the projections; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def suppressions_of_visitor(self, organization: str, visitor: VisitorKey) -> Sequence[Suppression]:
        """Return the suppressions of a visitor, sorted by action map."""

    def suppressions_of_visitors(
        self, organization: str, visitors: Sequence[VisitorKey]
    ) -> Mapping[VisitorKey, Sequence[Suppression]]:
        """Return the suppressions of many visitors. Each visitor has an entry.

        Raises:
            TooManySuppressionsError: The visitors have more than 10,000 together.
        """

    def suppressions_of_action_map(
        self,
        organization: str,
        action_map_id: ActionMapId,
        behind: VisitorKey | None = None,
        *,
        of_slice: int | None = None,
    ) -> Generator[Suppression]:
        """Stream the suppressions of an action map, sorted by token, after the visitor `behind` if given.

        With `of_slice`, only those of the visitors of a slice; `behind` is one of them then.

        Raises:
            UnknownVisitorError: No event was recorded of the visitor `behind`.
        """

    def parked(
        self, organization: str, *, behind: tuple[datetime, int] | None = None
    ) -> Generator[KeptSignal]:
        """Stream the signals that wait for their action, in order of arrival; short ones come last.

        Args:
            organization: The tenant.
            behind: Time and number of a signal, not of a short one, after which the list begins; None for its
                beginning. The signal need not wait any more.
        """

    def status(self) -> Sequence[ProjectionStatus]:
        """Return the position and lag of each projection."""

    def freshness(self) -> Freshness:
        """Return the position and age of the suppression list. The cost does not grow with its lag."""

    def position(self) -> int:
        """Return the position that all projections have reached."""

    def close(self) -> None:
        """Release the connections that look-ups keep."""


class PerformanceSource(PerformanceCounts, Protocol):
    """The counts behind the performance report, and the action maps that were counted."""

    def action_maps(
        self, organization: str, behind: ActionMapId | None = None
    ) -> Generator[tuple[ActionMapId, str | None]]:
        """Stream the action maps with their newest known names, sorted by id, after `behind` if given."""

    def dated_names(
        self, organization: str, action_maps: Sequence[ActionMapId]
    ) -> Mapping[ActionMapId, tuple[datetime, str]]:
        """Return the newest known names of these maps, each with the time of the signal that had it."""

    def maps_named(self, organization: str, name: str) -> Sequence[ActionMapId]:
        """Return the action maps with this newest known name, sorted by id; at most ten of them."""


class StreamReader(Protocol):
    """A reader of whole streams, for audits; thread-safe."""

    def events(self, offer: OfferKey) -> Sequence[RecordedEvent[Event]]:
        """Return the events of a stream, in order.

        Raises:
            ReadTimeoutError: The read takes longer than it may.
            ReadCancelledError: The caller no longer waits for the answer.
            StoreUnavailableError: The store cannot be reached.
        """


class VisitorReader(Protocol):
    """A reader of all streams of one visitor; thread-safe."""

    def events_of_visitor(
        self, visitor_digest: UUID, action_map_id: UUID | None = None, behind: int = 0
    ) -> Generator[PlacedEvent]:
        """Stream the events of a visitor behind a position, by position; of one action map if it is given.

        The visitor is named by the keyed digest of an `OrganizationKey`.
        Each page is read anew, so a visitor who is erased meanwhile has no further events.

        Raises:
            ReadTimeoutError: A page takes longer than it may.
            ReadCancelledError: The caller no longer waits for the answer.
            StoreUnavailableError: The store cannot be reached.
        """


class Changes(Protocol):
    """The action maps of the newest events; thread-safe."""

    def changed_maps(
        self, behind: LogPosition, position: LogPosition
    ) -> Mapping[str, set[ActionMapId]] | None:
        """Return the action maps of the events in (behind, position], by organization.

        None means that any map may have changed: there are too many events, or one cannot be read.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def known_maps(self, organization: str, action_maps: Collection[ActionMapId]) -> set[ActionMapId]:
        """Return the action maps among these of which the organization has events or blocked offers.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """


class Replica(Protocol):
    """A local copy of the suppression list; thread-safe."""

    def look_up(self, organization: str, visitor: VisitorKey) -> Lookup:
        """Return the suppressions of a visitor without asking the store.

        Raises:
            ReplicaStaleError: The copy is older than it may be, or has not been made yet.
        """
