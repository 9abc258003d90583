"""The erasure of a visitor, step by step. Each step may be repeated, so an interrupted erasure goes on.

1. One transaction destroys the key and the names, deletes refused texts, and raises the epoch. The list
   outside of the store, if there is one, gets a line: no restored backup may bring the visitor back.
2. The fence: no writer that has loaded the visitor before that stores anything from now on.
3. `VisitorErased` is appended, behind every event of the visitor, and all projections follow it.
4. The sealed parts of the visitor's events are blanked.
5. The receipt is appended to the organization's own stream.

See docs/decisions/0036.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_application.erasure.receipts import KnownReceipts, describe_receipt
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.erasure import (
    BegunErasure,
    BlankedEvents,
    Erasure,
    ErasureList,
    Erasures,
    ErasureUnfinishedError,
    LegalHoldError,
    NoSuchVisitorError,
    Tombstone,
)
from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError, VersionConflictError
from offerlog_application.ports.read_models import ProjectionsBehindError
from offerlog_application.ports.sealed_tree import CheckpointFolderError
from offerlog_application.ports.service_log import ServiceLog
from offerlog_application.ports.signing import Signer
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.ports.write_fence import FenceTimeoutError, WriteFence
from offerlog_domain.errors import OfferlogError
from offerlog_domain.service_events import ErasureReceipt, VisitorErased, receipt_text, sign_receipt
from offerlog_domain.stream_ids import make_organization_stream_id, make_visitor_stream_id

_INTERRUPTED_AFTER: Final = timedelta(minutes=3)
"""An erasure that is younger is left to the call that has begun it: that waits for a minute at each step."""

_CLOCK_DIFFERENCE: Final = timedelta(seconds=5)
"""The clocks of two machines may differ by so much. A refusal that is recorded later than that behind the
first step of an erasure belongs to a new life."""

_END: Final = datetime.max.replace(tzinfo=UTC)


class ErasedVisitors(NamedTuple):
    """Result of the erasure of several visitors.

    Attributes:
        erasures: The complete erasures.
        held: The visitors whom a legal hold protects.
        errors: Why others are not erased, or not completely; one error for each.
    """

    erasures: Sequence[Erasure]
    held: Sequence[UUID]
    errors: Sequence[OfferlogError]


class FinishedErasures(NamedTuple):
    """Result of the last steps of several erasures. One that fails does not keep the others from their end.

    Attributes:
        erasures: The complete erasures.
        errors: Why others are not complete; one error for each.
    """

    erasures: Sequence[Erasure]
    errors: Sequence[OfferlogError]


class Eraser:
    """Erases visitors; thread-safe.

    Args:
        erasures: The steps in the store.
        fence: Stops writers that decided before.
        log: Takes `VisitorErased` and the receipt.
        clock: The service's clock.
        wait: Waits until all projections show a position, for so many seconds without progress.
        find_signer: Returns the key that signs receipts, which is that of checkpoints; None if there is none.
        erasure_list: The list outside of the store; None for none.
    """

    def __init__(
        self,
        erasures: Erasures,
        fence: WriteFence,
        log: ServiceLog,
        clock: Clock,
        *,
        wait: Callable[[int, float], None],
        find_signer: Callable[[], Signer | None] = lambda: None,
        erasure_list: ErasureList | None = None,
    ) -> None:
        self._erasures = erasures
        self._fence = fence
        self._log = log
        self._clock = clock
        self._wait = wait
        self._find_signer = find_signer
        self._list = erasure_list

    def erase(self, organization: str, digest: UUID, seconds: float) -> Erasure:
        """Erase a visitor, and go on with an erasure of the visitor that was interrupted.

        Args:
            organization: The tenant.
            digest: The visitor's keyed digest.
            seconds: How long to wait for writers, and for projections that make no progress.

        Raises:
            NoSuchVisitorError: Nothing is held of the visitor.
            LegalHoldError: A hold forbids it; nothing was changed.
            ErasureUnfinishedError: The key is destroyed, and a later step did not end in time.
            StoreUnavailableError: The store cannot be reached. The key may be destroyed; erase again.
        """
        begun = self._erasures.begin(organization, digest, self._clock.now())
        if not begun:
            raise NoSuchVisitorError(organization)
        finished = self._finish(begun, seconds, erases=True)
        if finished.errors:
            raise finished.errors[-1]
        return finished.erasures[-1]

    def erase_all(self, organization: str, digests: Sequence[UUID], seconds: float) -> ErasedVisitors:
        """Erase several visitors: they share the fence and the wait for the projections.

        Args:
            organization: The tenant of all of them.
            digests: The visitors' keyed digests.
            seconds: How long to wait for writers, and for projections that make no progress.

        Returns:
            The complete erasures; the visitors whom a legal hold protects, who are left as they are; and the
            errors of others.

        Raises:
            ErasureUnfinishedError: The keys are destroyed, and a later step of all did not end in time.
            StoreUnavailableError: The store cannot be reached. Some keys may be destroyed; erase again.
        """
        begun: dict[int, BegunErasure] = {}
        held: list[UUID] = []
        errors: list[OfferlogError] = []
        for digest in digests:
            try:
                begun |= {
                    one.number: one for one in self._erasures.begin(organization, digest, self._clock.now())
                }
            except LegalHoldError:
                held.append(digest)
            except StoreUnavailableError as error:
                if _ends_all(error):
                    raise
                errors.append(error)
        if not begun:
            return ErasedVisitors((), held, errors)
        finished = self._finish([*begun.values()], seconds, erases=True)
        return ErasedVisitors(finished.erasures, held, [*errors, *finished.errors])

    def sign(self, text: str, at: datetime) -> str:
        """Return the signature lines of the text of a receipt; empty if the service has no key to sign with.

        Args:
            text: The text.
            at: The time of the signature.
        """
        signer = self._find_signer()
        return "" if signer is None else f"{signer.sign(text, int(at.timestamp()))}\n"

    def finish_interrupted(self, seconds: float) -> FinishedErasures:
        """Go on with the erasures that were interrupted some minutes ago or earlier, in all organizations.

        Raises:
            ErasureUnfinishedError: A step of all did not end in time.
            StoreUnavailableError: The store cannot be reached.
        """
        begun = self._erasures.unfinished(self._clock.now() - _INTERRUPTED_AFTER)
        return self._finish(begun, seconds, erases=False) if begun else FinishedErasures((), ())

    def _finish(self, begun: Sequence[BegunErasure], seconds: float, *, erases: bool) -> FinishedErasures:
        """Carry out the steps behind the first one.

        Args:
            begun: The erasures.
            seconds: How long to wait at each step.
            erases: True if this call was asked to erase these visitors; False if it goes on for others.
        """
        self._add_to_list(begun)
        try:
            self._fence.finish(seconds)
        except FenceTimeoutError as error:
            raise ErasureUnfinishedError(str(error)) from error
        errors: list[OfferlogError] = []
        steps: list[tuple[BegunErasure, int | None, int]] = []
        for one in begun:
            # A call that erases has asked for what was refused until now; one that goes on has not.
            until = _END if erases else one.erased_at + _CLOCK_DIFFERENCE
            try:
                refusals = self._erasures.delete_late_rows(one, until)
                steps.append((one, self._append_erased(one), refusals))
            except OfferlogError as error:
                errors.append(_unfinished(error))
        try:
            self._wait(max((position or 0 for _, position, _ in steps), default=0), seconds)
        except ProjectionsBehindError as error:
            raise ErasureUnfinishedError(str(error)) from error
        completed: list[Erasure] = []
        receipts = KnownReceipts(self._log)
        for one, position, refusals in steps:
            try:
                completed.append(self._complete(one, position, refusals, receipts))
            except OfferlogError as error:
                errors.append(_unfinished(error))
        return FinishedErasures(completed, errors)

    def _add_to_list(self, begun: Sequence[BegunErasure]) -> None:
        """Write the erasures down outside of the store, before anybody learns that they are done."""
        if self._list is None:
            return
        try:
            self._list.add([Tombstone(one.token, one.organization, one.erased_at) for one in begun])
        except CheckpointFolderError as error:
            raise ErasureUnfinishedError(str(error)) from error

    def _append_erased(self, erasure: BegunErasure) -> int | None:
        """Append `VisitorErased` as the only event of the visitor's own stream; returns its position."""
        if erasure.token is None:
            return None
        stream = make_visitor_stream_id(erasure.token)
        event = VisitorErased(organization=erasure.organization, recorded_at=self._clock.now())
        try:
            entry = self._log.append_entry(stream, event, version=1)
        except VersionConflictError:  # an earlier call has appended it, or one beside this is about to
            stored = self._log.read_entries(stream)
            if not stored:
                raise ErasureUnfinishedError("another process is erasing the same visitor") from None
            entry = stored[0]
        return entry.position

    def _complete(
        self,
        erasure: BegunErasure,
        position: int | None,
        refusals: int,
        receipts: KnownReceipts,
    ) -> Erasure:
        """Blank the events and append the receipt, unless another call has done so: each erasure has one."""
        with self._erasures.completing(erasure) as is_open:
            known = receipts.find(erasure, position) if not (is_open and erasure.is_own) else None
            if known is not None and (known.refusals >= refusals or not is_open):
                self._erasures.complete(erasure, position, self._clock.now())
                return known
            if not is_open:
                raise ErasureUnfinishedError("another process has completed it, and its receipt is missing")
            blanked = BlankedEvents(0, 0)
            if erasure.token is not None:
                blanked = self._erasures.blank_events(erasure.token)
            receipt = ErasureReceipt(
                organization=erasure.organization,
                recorded_at=self._clock.now(),
                erased_at=erasure.erased_at,
                erased_position=position,
                events=blanked.events,
                refusals=refusals,
                unreadable=blanked.unreadable,
            )
            signed = sign_receipt(receipt, self.sign(receipt_text(receipt), receipt.recorded_at))
            entry = self._log.append_entry(make_organization_stream_id(erasure.organization), signed)
            self._erasures.complete(erasure, position, receipt.recorded_at)
            return describe_receipt(signed, entry.position)


def _ends_all(error: OfferlogError) -> bool:
    """Return True if an error concerns the store, and not one visitor."""
    if isinstance(error, StoreUnavailableError):
        return error.trouble is not StoreTrouble.LOCKED
    return isinstance(error, ClosedError)


def _unfinished(error: OfferlogError) -> ErasureUnfinishedError:
    """Return the error of one erasure for any error at its last steps; raise one that concerns the store."""
    if _ends_all(error):
        raise error
    if isinstance(error, ErasureUnfinishedError):
        return error
    unfinished = ErasureUnfinishedError(str(error))
    unfinished.__cause__ = error
    return unfinished
