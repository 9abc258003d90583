"""The port to the events of the log that belong to no visitor-offer (see `service_events`)."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from offerlog_domain.service_events import ServiceEvent

SERVICE_PAGE: Final = 1_000
"""Number of entries of a page unless its reader says otherwise."""


class ServiceEntry(NamedTuple):
    """An event that belongs to no visitor-offer, at its place in the log.

    Attributes:
        position: Its position in the log.
        stream: The visitor's own stream, or the organization's (see `stream_ids`).
        version: Its place in the stream, from 1, without gaps.
        event: The event.
    """

    position: int
    stream: UUID
    version: int
    event: ServiceEvent


class ServiceLog(Protocol):
    """The streams of events that belong to no visitor-offer; thread-safe."""

    def append_entry(self, stream: UUID, event: ServiceEvent, *, version: int | None = None) -> ServiceEntry:
        """Append an event to its stream, under the current epoch.

        Args:
            stream: `make_visitor_stream_id` or `make_organization_stream_id` gives it.
            event: The event.
            version: The version that the event must get; None for the next one, whichever that is.

        Raises:
            VersionConflictError: Another writer has that version. Nothing was stored. Without a version, the
                append is tried again by itself.
            StoreUnavailableError: The store cannot be reached; nothing was stored.
            OutcomeUnknownError: It may or may not have been stored.
        """

    def read_entries(
        self, stream: UUID, after: int = 0, limit: int = SERVICE_PAGE, *, behind: int = 0
    ) -> Sequence[ServiceEntry]:
        """Return the entries of a stream behind a version, in order, at most `limit`.

        Two organizations may share a stream: look at `event.organization` of each entry.

        Args:
            stream: The stream.
            after: The version.
            limit: The most entries.
            behind: A position of the log. Entries up to there are left out, too. If it is that of an entry of
                the stream, nothing before it is read.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            UnreadableEventError: A stored event is unknown to this build.
        """
