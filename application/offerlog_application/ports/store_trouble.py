"""The reasons why the store cannot do its work, for people and for programs."""

import threading
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class StoreTrouble(StrEnum):
    """The reason why the store failed a call.

    The value is for programs: a label of the metrics and a part of the problem's type. It never changes.
    """

    DISK_FULL = "disk-full"
    STORAGE_FAILED = "storage-failed"
    LOCKED = "locked"
    TOO_MANY_CONNECTIONS = "too-many-connections"
    READ_ONLY = "read-only"
    RESTARTING = "restarting"
    UNREACHABLE = "unreachable"
    FAILED = "failed"

    @property
    def sentence(self) -> str:
        """The fault, as a sentence."""
        return _TEXTS[self][0]

    @property
    def advice(self) -> str:
        """Advice on what to do next."""
        return _TEXTS[self][1]


_TEXTS: Final[Mapping[StoreTrouble, tuple[str, str]]] = {
    StoreTrouble.DISK_FULL: (
        "the disk of the database is full",
        "free space on it; the service goes on by itself",
    ),
    StoreTrouble.STORAGE_FAILED: (
        "the database cannot read or write its files",
        "look at its disk and at its log",
    ),
    StoreTrouble.LOCKED: (
        "a table of the store is locked",
        "wait until the statement that locks it has ended, or end it",
    ),
    StoreTrouble.TOO_MANY_CONNECTIONS: (
        "no connection to the database is free",
        "close other clients, or raise max_connections of the server",
    ),
    StoreTrouble.READ_ONLY: (
        "the database is read-only: it is a standby, or in recovery",
        "promote it, or give the address of the primary",
    ),
    StoreTrouble.RESTARTING: (
        "the database is starting, stopping, or has ended the connection",
        "try again in a moment",
    ),
    StoreTrouble.UNREACHABLE: (
        "the store cannot be reached",
        "see whether the database server runs, and whether address, user and password are right",
    ),
    StoreTrouble.FAILED: ("the database failed", "its log says more"),
}


class TroubleCounts:
    """Failed calls of the store by reason, since the start; thread-safe."""

    def __init__(self) -> None:
        self._counts: Counter[StoreTrouble] = Counter()
        self._lock = threading.Lock()

    def count(self, trouble: StoreTrouble) -> None:
        """Count one failed call."""
        with self._lock:
            self._counts[trouble] += 1

    def totals(self) -> Mapping[StoreTrouble, int]:
        """Return the number of failures for each reason, 0 included."""
        with self._lock:
            return {trouble: self._counts[trouble] for trouble in StoreTrouble}
