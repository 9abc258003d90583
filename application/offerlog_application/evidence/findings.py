"""The findings of an audit: what of a log is not as it was sealed and signed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

LISTED: Final = 1_000
"""Most findings of one kind that a report lists; all of them are counted."""


class FindingKind(StrEnum):
    """The kind of a change that an audit has found."""

    EDITED = "edited"
    """An event differs from what was sealed at its position."""

    DELETED = "deleted"
    """An event is missing."""

    INSERTED = "inserted"
    """An event stands at a position that had none when it was sealed."""

    REORDERED = "reordered"
    """An event that was sealed at one position stands at another."""

    BLANKED = "blanked"
    """The sealed part of an event was erased, and no event states an erasure of its visitor."""

    TRUNCATED = "truncated"
    """The last events of the log, or of the tree, are missing."""

    REWRITTEN = "rewritten"
    """Log and tree fit each other, and not what was signed or is kept outside."""

    TILE = "tile"
    """A tile of the tree, or its progress, was changed."""

    CHECKPOINT = "checkpoint"
    """A checkpoint was changed, or no known key has signed it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One change that was found.

    Attributes:
        kind: Its kind.
        detail: A sentence for people.
        position: Position in the log; None where a tile or a checkpoint is concerned.
        stream: The visitor-offer, or another stream; None if it cannot be known.
        version: Place in the stream, as it is now.
        topic: Stored name and version, as they are now.
        tile: The path of the tile that shows it.
    """

    kind: FindingKind
    detail: str
    position: int | None = None
    stream: str | None = None
    version: int | None = None
    topic: str | None = None
    tile: str | None = None

    def __str__(self) -> str:
        parts = [
            None if self.position is None else f"position {self.position}",
            None if self.stream is None else f"stream {self.stream}",
            None if self.version is None else f"version {self.version}",
            self.topic,
            self.tile,
        ]
        where = ", ".join(part for part in parts if part)
        return f"{self.kind}: {self.detail}" + (f" ({where})" if where else "")


@dataclass(slots=True)
class AuditReport:
    """The result of an audit.

    Attributes:
        events: Number of events that were compared.
        position: The position of the last event in the tree.
        unsealed: Number of events behind it, which nothing protects yet.
        unsealed_seconds: Seconds since the first of them was recorded; None if that cannot be read.
        checkpoints: Number of checkpoints that a known key has signed.
        outside: Number of those that lie outside of the store.
        signed: Number of events that the largest of them shows to be unchanged.
        signatures_checked: False if no key was known, so that no signature was checked.
        elsewhere: What could not be compared here, and where it is: sentences for people. Empty where there
            is one server.
        findings: What is wrong, at most `LISTED` of a kind.
        counts: Number of findings of each kind.
    """

    events: int = 0
    position: int = 0
    unsealed: int = 0
    unsealed_seconds: float | None = 0.0
    checkpoints: int = 0
    outside: int = 0
    signed: int = 0
    signatures_checked: bool = True
    elsewhere: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[FindingKind] = field(default_factory=Counter)

    @property
    def is_whole(self) -> bool:
        """True if nothing is wrong."""
        return not self.counts

    def add(self, findings: Sequence[Finding]) -> None:
        """Add findings."""
        for one in findings:
            self.counts[one.kind] += 1
            if self.counts[one.kind] <= LISTED:
                self.findings.append(one)
