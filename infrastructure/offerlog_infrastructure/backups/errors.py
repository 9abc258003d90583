"""Errors of backups and restores; each message says what to do."""

from collections.abc import Sequence
from pathlib import Path

from offerlog_domain.errors import OfferlogError


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

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason}; whoever was erased since the backup must be erased again: give --later-store or"
            " --erase, or --erasures-from with a folder of checkpoints, or --nobody-erased if nobody was"
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
