"""The disk of a database on this machine: a server that cannot start does not report a full disk."""

from pathlib import Path

from offerlog_infrastructure.disk_space import WAL_SEGMENT_BYTES, has_less_than


class LocalDisk:
    """The disk that holds the database.

    Args:
        folder: The folder of the database; None where the database is on another machine, or its folder is
            unknown.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def has_no_room_for_wal(self) -> bool:
        """True if PostgreSQL cannot extend its write-ahead log there; False also where that is unknown."""
        return self._folder is not None and has_less_than(WAL_SEGMENT_BYTES, self._folder)
