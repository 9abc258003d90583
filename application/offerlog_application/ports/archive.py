"""The port to the archive of cold streams."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from offerlog_application.ports.rebuilds import RebuildProgress


@dataclass(frozen=True, slots=True)
class ArchivedPart:
    """The part of the log that one run has moved into the archive.

    Attributes:
        position: No event of the own log behind this position was moved.
        streams: The number of visitor-offers.
        events: The number of their events.
        files: The number of files that were written.
        bytes: Their size.
    """

    position: int
    streams: int = 0
    events: int = 0
    files: int = 0
    bytes: int = 0

    def __add__(self, other: "ArchivedPart") -> "ArchivedPart":
        return ArchivedPart(
            max(self.position, other.position),
            self.streams + other.streams,
            self.events + other.events,
            self.files + other.files,
            self.bytes + other.bytes,
        )


@dataclass(frozen=True, slots=True)
class ArchiveFigures:
    """The archive of a store.

    Attributes:
        place: Its place; None without an archive.
        files: The number of its files.
        events: The number of events in them.
        bytes: Their size.
        table_bytes: The size of the table of events and its indexes, in which the other events are.
    """

    place: str | None
    files: int
    events: int
    bytes: int
    table_bytes: int


class Archiver(Protocol):
    """Moves cold streams into the archive.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def figures(self) -> ArchiveFigures:
        """Return the figures of the archive."""

    def move(
        self, older_than: timedelta, place: str | None, on_progress: Callable[[RebuildProgress], None]
    ) -> ArchivedPart:
        """Move the streams that are cold for a time.

        What is interrupted has moved whole files or nothing of them; the next call goes on.

        Args:
            older_than: The time.
            place: The place of the archive; None for the one that the store has.
            on_progress: Called with the number of visitor-offers that were looked at.

        Raises:
            ArchiveElsewhereError: The store has an archive in another place.
            ArchiveRunningError: Another process does the same.
            ArchiveUnavailableError: A file is not read back as it was written.
            ArchiveWriteError: A file cannot be written.
            ExtraMissingError: pyarrow is not installed.
        """

    def shrink(self, on_progress: Callable[[RebuildProgress], None]) -> Sequence[int]:
        """Rewrite the parts of the table from which events were moved, so that they take less room.

        Writers of a slice wait meanwhile. A slice whose lock cannot be had in a short time is left.

        Args:
            on_progress: Called with the number of slices.

        Returns:
            The slices that are left for the next call.
        """
