"""The errors of the archive."""

from pathlib import Path

from offerlog_domain.errors import OfferlogError


class ArchiveUnavailableError(OfferlogError):
    """A file with archived events cannot be used now. Nothing is answered with fewer events.

    Attributes:
        name: The name of the file in the place of the archive.
    """

    def __init__(self, name: str, place: str, cause: str, *, action: str = "read from") -> None:
        super().__init__(
            f"the archived events in {name} cannot be {action} {place} ({cause}): make the place of the"
            " archive reachable for this process, with the files as they were written"
        )
        self.name = name


class ArchiveWriteError(OfferlogError):
    """A file cannot be written to the place of the archive; its events are still in the database."""

    def __init__(self, place: str, cause: str) -> None:
        super().__init__(
            f"nothing can be written to {place} ({cause}): see whether this user may do so, and whether there"
            " is room. No event was lost; then run the same command again, and it goes on"
        )


class ArchiveElsewhereError(OfferlogError):
    """The store has an archive in another place than the one that was named, or there is none at all."""

    def __init__(self, place: str | None, named: str | None) -> None:
        super().__init__(
            "this store has no archive yet: name its folder with --folder"
            if place is None
            else f"the archive of this store is in {place}, and not in {named}: leave the folder out"
        )


class ArchiveRunningError(OfferlogError):
    """Another process moves events into the archive, or a slice with its files."""

    def __init__(self) -> None:
        super().__init__(
            "another process moves events into the archive, or a slice to or from this server: wait for its"
            " end"
        )


class ArchiveCopyError(OfferlogError):
    """The folder for the archive of a restored store cannot be made."""

    def __init__(self, folder: Path, cause: str) -> None:
        super().__init__(
            f"the folder {folder} for the archive of the restored store cannot be made ({cause}): give"
            " another folder, or remove this one if no store has its archive there"
        )
