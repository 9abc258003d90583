"""The errors of the archive."""

from offerlog_domain.errors import OfferlogError


class ArchiveUnavailableError(OfferlogError):
    """A file with archived events cannot be read, so the answer would lack events; none is given.

    Attributes:
        name: The name of the file in the place of the archive.
    """

    def __init__(self, name: str, place: str, cause: str) -> None:
        super().__init__(
            f"the archived events in {name} cannot be read from {place} ({cause}): make the place of the"
            " archive reachable for this process, with the files as they were written"
        )
        self.name = name


class ArchiveElsewhereError(OfferlogError):
    """The store has an archive in another place than the one that was named."""

    def __init__(self, place: str, named: str) -> None:
        super().__init__(f"the archive of this store is in {place}, and not in {named}: leave the folder out")


class ArchiveRunningError(OfferlogError):
    """Another process moves events into the archive."""

    def __init__(self) -> None:
        super().__init__("another process moves events into the archive: wait for its end")
