"""Ports for visitors' rights: the erasure of a visitor, legal holds, and all that is held of a visitor."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from offerlog_domain.errors import OfferlogError
from offerlog_domain.identity import VisitorKey

LONGEST_REASON: Final = 1_000
"""Characters of the reason of a legal hold."""


class NoSuchVisitorError(OfferlogError):
    """Nothing is held of a visitor: no event, no refused text. For a legal hold: no event.

    Attributes:
        organization: The tenant.
    """

    def __init__(self, organization: str, lack: str = "nothing is held of this visitor") -> None:
        super().__init__(f"{lack} in the organization {organization!r}; check the customer id and its type")
        self.organization = organization


class LegalHoldError(OfferlogError):
    """A visitor cannot be erased because of a legal hold; nothing was changed.

    Attributes:
        reason: The reason that was given for the hold.
        since: The time at which it was set.
    """

    def __init__(self, reason: str, since: datetime) -> None:
        super().__init__(
            f"a legal hold since {since:%Y-%m-%d} forbids to erase this visitor: {reason}; lift it first"
        )
        self.reason = reason
        self.since = since


class ErasureUnfinishedError(OfferlogError):
    """A visitor's key is destroyed, and a later step of the erasure did not end in time.

    Nothing that identifies the visitor can be read any more. The same call again goes on with the rest.

    Attributes:
        waits_for: What the erasure waits for.
    """

    def __init__(self, waits_for: str) -> None:
        super().__init__(
            "the visitor's key is destroyed, so nothing can be read any more, but the erasure is not"
            f" complete: {waits_for}; run it again to go on"
        )
        self.waits_for = waits_for


class OrganizationInUseError(OfferlogError):
    """Something was recorded for an organization again and again while it was deleted.

    The visitors who were there are erased, and the keys are revoked. The organization's secret is left.

    Attributes:
        organization: The organization.
    """

    def __init__(self, organization: str) -> None:
        super().__init__(
            f"the organization {organization!r} is still in use: something was recorded for it while it was"
            " deleted; stop whoever records for it, and delete it again"
        )
        self.organization = organization


class Tombstone(NamedTuple):
    """The trace that an erased visitor leaves. Nothing of it identifies the visitor.

    Attributes:
        token: The visitor's former token; None if no event was ever recorded of the visitor.
        organization: The tenant.
        erased_at: The time at which the key was destroyed.
    """

    token: int | None
    organization: str
    erased_at: datetime


class ErasureList(Protocol):
    """A list of erasures outside of the store, which outlives the restore of a backup; thread-safe.

    Raises `CheckpointFolderError` if it cannot be written.
    """

    def add(self, erased: Sequence[Tombstone]) -> None:
        """Add the erasures that it does not have yet, durably."""


@dataclass(frozen=True, slots=True)
class BegunErasure:
    """An erasure whose first step is committed: the key is destroyed.

    Attributes:
        number: Its number in the store.
        organization: The tenant.
        digest: The visitor's keyed digest.
        token: The visitor's token; None if no event was ever recorded of the visitor.
        erased_at: The time of the first step.
        refusals: Number of refused texts that were deleted so far.
        is_own: True if this call has begun it, so that no other call can have written a receipt before.
    """

    number: int
    organization: str
    digest: UUID
    token: int | None
    erased_at: datetime
    refusals: int
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Erasure:
    """A complete erasure of a visitor.

    Attributes:
        organization: The tenant.
        erased_at: The time at which the key was destroyed.
        events: Number of events of the visitor that stay in the log, unreadable.
        refusals: Number of refused texts that were deleted.
        position: Position of the event that says so; None if no event was ever recorded of the visitor.
        receipt_position: Position of the receipt.
        signature: Signature lines of the receipt; empty where the service has no key to sign with.
        unreadable: Number of those events that were damaged before, so that nothing tells their sealed part
            from the rest. They are left as they are.
    """

    organization: str
    erased_at: datetime
    events: int
    refusals: int
    position: int | None
    receipt_position: int
    signature: str = ""
    unreadable: int = 0


class BlankedEvents(NamedTuple):
    """The events of an erased visitor.

    Attributes:
        events: Number of all of them.
        unreadable: Number of those that are damaged and were left as they are.
    """

    events: int
    unreadable: int


class LegalHold(NamedTuple):
    """A visitor who may not be erased.

    Attributes:
        visitor: The visitor.
        since: The time at which the hold was set.
        reason: The reason.
    """

    visitor: VisitorKey
    since: datetime
    reason: str


class HeldRow(NamedTuple):
    """Something that is held of a visitor.

    Attributes:
        place: The table of the store that holds it.
        fields: Its fields by name, those that were sealed opened.
    """

    place: str
    fields: Mapping[str, Any]


class Erasures(Protocol):
    """The steps of an erasure in the store, legal holds, and what is held of a visitor; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def begin(self, organization: str, digest: UUID, now: datetime) -> Sequence[BegunErasure]:
        """Destroy a visitor's key and names, delete refused texts, and raise the epoch, in one transaction.

        Returns:
            The erasures of this visitor that are not complete: this one, and earlier ones that were
            interrupted. Empty if nothing is held of the visitor.

        Raises:
            LegalHoldError: A hold forbids it. Nothing was changed.
            SliceElsewhereError: Another store has the visitor. Nothing was changed.
        """

    def unfinished(self, before: datetime) -> Sequence[BegunErasure]:
        """Return the erasures of all organizations that were begun before a time and are not complete."""

    def delete_late_rows(self, erasure: BegunErasure, until: datetime) -> int:
        """Delete the refused texts and the names of blocked offers that writers added before the fence.

        Does not delete those of a new life that a legal hold protects.

        Args:
            erasure: The erasure.
            until: Only those that were recorded until then: later ones belong to a new life.

        Returns:
            The number of refused texts in all.
        """

    def completing(self, erasure: BegunErasure) -> AbstractContextManager[bool]:
        """Keep other calls, in any process, from completing the same erasure meanwhile.

        Returns:
            A context; its value is False if the erasure is complete already.
        """

    def blank_events(self, token: int) -> BlankedEvents:
        """Replace the sealed parts of a visitor's events by their hashes; damaged events stay as they are."""

    def complete(self, erasure: BegunErasure, position: int | None, now: datetime) -> None:
        """Forget the visitor's digest: the erasure is complete. It may be forgotten by a crash of the server.

        Args:
            erasure: The erasure.
            position: Position of the event that says that the visitor is erased; None if there is none.
            now: The time.
        """

    def remove_remains(self, *, rewrite: bool) -> None:
        """Remove former versions of rows, unless a transaction still needs them.

        Args:
            rewrite: True to write the tables into new files. False to make the place of such rows free, as
                PostgreSQL does by itself after a while; their bytes stand there until it is used again.
        """

    def hold(self, organization: str, digest: UUID, reason: str, now: datetime) -> bool:
        """Forbid to erase a visitor, or change the reason; returns False if the visitor is not known.

        Raises:
            SliceElsewhereError: Another store has the visitor.
        """

    def lift(self, digest: UUID) -> bool:
        """Allow to erase a visitor again; returns False if there was no hold."""

    def holds(self, organization: str) -> Sequence[LegalHold]:
        """Return the holds of an organization, oldest first."""

    def held_rows(self, organization: str, digest: UUID, visitor: VisitorKey) -> Sequence[HeldRow]:
        """Return all that is held of a visitor, opened; empty if nothing is held.

        Raises:
            SliceElsewhereError: Another store has the visitor.
        """


class OrganizationVisitors(Protocol):
    """The visitors and refusals of one organization, for its deletion; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def count(self, organization: str) -> int:
        """Count the visitors of whom an event was recorded."""

    def digests(self, organization: str, after: UUID, limit: int) -> Sequence[UUID]:
        """Return digests of visitors behind a digest, sorted; those who were only ever refused, too.

        Also those whose erasure was begun and is not complete.
        """

    def delete_refusals(self, organization: str) -> int:
        """Delete the refusals of the organization that name no visitor; returns how many."""

    def destroy_secret(
        self, organization: str, since: datetime, prepare: Callable[[], None] | None = None
    ) -> bool:
        """Destroy the secret of an organization of which nothing is left, and raise the epoch.

        No process stores anything under the secret afterwards; one that has it decides again without it.

        Args:
            organization: The organization.
            since: A time before which visitors of it were looked for, and none was left.
            prepare: Called first, while nobody can copy the secret: destroys the copies that other stores
                have. An error of it leaves the secret. None if there is nothing to do.

        Returns:
            False if it has no secret.

        Raises:
            OrganizationInUseError: A visitor or a refusal is there; nothing was changed.
        """

    def digests_of(self, tokens: Sequence[int]) -> Mapping[str, Sequence[UUID]]:
        """Return the digests of the visitors with these tokens who are stored, by organization.

        Also those whose erasure was begun and is not complete.
        """
