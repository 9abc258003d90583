"""The log as the use cases need it, and why it may fail."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_domain.errors import OfferlogError
from offerlog_domain.event_fields import Event
from offerlog_domain.outcomes import Refusal
from offerlog_domain.visitor_offer import Action, VisitorOffer


class VersionConflictError(OfferlogError):
    """Another writer took, or is about to take, a version that was wanted.

    Attributes:
        stream: The visitor-offer where it happened.
        waiting: Whether the other one has not decided yet; False means that it has committed.
    """

    def __init__(self, stream: UUID, *, waiting: bool) -> None:
        super().__init__(f"another writer is at visitor-offer {stream}")
        self.stream = stream
        self.waiting = waiting


class StoreUnavailableError(OfferlogError):
    """The store cannot do its work now; nothing of the request was stored.

    Attributes:
        trouble: The reason.
        table: The table that is locked, where that is known; None for any other reason.
        holder: Who locks it, where that is known: a process of the database server, and its command.
        detail: The words of the server or the driver. They may name hosts and files.
        summary: What is wrong and what to do next, without those words: anybody may read it.
    """

    def __init__(
        self,
        detail: str = "",
        trouble: StoreTrouble = StoreTrouble.UNREACHABLE,
        *,
        table: str | None = None,
        holder: str = "",
    ) -> None:
        sentence = f"the table {table} is locked" if table else trouble.sentence
        self.trouble = trouble
        self.table = table
        self.holder = holder
        self.detail = detail
        self.summary = f"{sentence}; {trouble.advice}"
        by = f" ({holder})" if holder else ""
        words = f": {detail}" if detail else ""
        super().__init__(f"{sentence}{by}{words}; {trouble.advice}")


class RefusalsLockedError(StoreUnavailableError):
    """A table of the refusal log is locked; nothing was stored, but events without refusals could be."""


class ClosedError(OfferlogError):
    """The service has been closed; nothing of this request was stored."""

    def __init__(self) -> None:
        super().__init__("the service has been closed")


class OutcomeUnknownError(OfferlogError):
    """The store went away while committing and did not come back to say what became of it.

    Sending the same signals again is safe: what was recorded will be recognised.

    Attributes:
        transaction: The store's id of the transaction.
        because: Why the store is away, where that is known.
    """

    because: StoreUnavailableError | None = None

    def __init__(self, transaction: str, because: StoreUnavailableError | None = None) -> None:
        why = "" if because is None else f" ({because.summary})"
        super().__init__(
            f"the store went away while committing transaction {transaction}{why}; send the same signals"
            " again: what was recorded is recognised"
        )
        self.transaction = transaction
        self.because = because


@dataclass(frozen=True, slots=True)
class HeldStreams:
    """Visitor-offers looked at for another writer that holds them.

    Attributes:
        held: Those whose next version another writer is about to take.
        unknown: Those not looked at: time was up before their turn.
    """

    held: frozenset[UUID] = frozenset()
    unknown: frozenset[UUID] = frozenset()


class EventLog(Protocol):
    """The log, as the writer uses it."""

    def load(self, streams: Collection[UUID]) -> Mapping[UUID, VisitorOffer]:
        """Every visitor-offer asked for, as stored now; an unknown one is at version 0.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def append(
        self,
        events: Sequence[Event],
        refusals: Sequence[Refusal],
        offers: Iterable[VisitorOffer],
        *,
        hurried: bool,
    ) -> int | None:
        """Store both in one transaction; returns the last position drawn, None without events.

        Args:
            events: In order within each stream.
            refusals: For the refusal log.
            offers: What the events make of their visitor-offers, to be remembered once they are stored.
            hurried: Whether to wait for another writer for a moment only.

        Raises:
            VersionConflictError: Nothing was stored; load that stream again.
            RefusalsLockedError: Nothing was stored; without refusals it could be.
            StoreUnavailableError: Nothing was stored.
            OutcomeUnknownError: It may or may not have been stored.
        """

    def find_held(self, versions: Mapping[UUID, int], seconds: float, *, urgent: bool) -> HeldStreams:
        """Find out which visitor-offers another writer holds, without waiting for that writer.

        Args:
            versions: The version wanted next, by visitor-offer; looked at in this order.
            seconds: How long to look.
            urgent: Whether others wait for the answer, so that it may cost more to be had sooner.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """


class Streams(Protocol):
    """The streams of visitor-offers: their keys, and the newest action of each."""

    def secret(self, organization: str) -> bytes:
        """The organization's key for stream ids, made at first use; 32 bytes."""

    def newest_action(self, stream: UUID) -> Action | None:
        """The action that began last, None where none has begun.

        Reads the stream from its end, and no further back than where that action began.
        """
