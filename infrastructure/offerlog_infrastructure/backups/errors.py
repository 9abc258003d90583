"""Errors of backups and restores; each message says what to do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.disk_space import full_disk_hint


class BackupFileError(OfferlogError):
    """A backup file cannot be written, cannot be read, or is not whole.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the backup {path} {reason}")
        self.path = path


class BackupProgramError(OfferlogError):
    """A program of PostgreSQL, `pg_dump` or `pg_restore`, has failed."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(f"{program} has failed: {reason}")


class NoErasuresError(OfferlogError):
    """Nothing says who was erased since a backup was made, so it is not restored."""

    def __init__(self, reason: str, *, accepts_later_store: bool = True) -> None:
        ways = "--later-store or --erase" if accepts_later_store else "--erase"
        super().__init__(
            f"{reason}; whoever was erased since the backup must be erased again: give {ways}, or"
            " --erasures-from with a folder of checkpoints, or --nobody-erased if nobody was"
        )


class NotTheSignedLogError(OfferlogError):
    """The log of a backup is not the one that was signed, so it is not restored."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the log in the backup is not the one that was signed, and is not restored: {reason}"
        )


class ServersDifferError(OfferlogError):
    """The servers of a backup do not fit together, so they are not restored."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(
            f"the servers in the backup do not fit together, and are not restored: {'; '.join(faults)}"
        )


@contextmanager
def written(place: Path) -> Iterator[None]:
    """Write a backup in the block.

    Args:
        place: The file or folder that the error names.

    Raises:
        BackupFileError: It cannot be written; says why, and how much room there is if the disk is full.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = full_disk_hint(place.parent)
        raise BackupFileError(place, f"cannot be written: {reason}{hint}") from error
