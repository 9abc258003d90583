"""The write side of an open service: record signals, ask for offers, check eligibility."""

from collections.abc import Iterable
from concurrent.futures import Future
from typing import TypeVar, Unpack

from offerlog_application.ports.organizations import OrganizationScope
from offerlog_application.ports.waiting import WaitAnnouncer
from offerlog_application.recording.batches import Receipt
from offerlog_application.recording.offers import Eligibility, OfferArguments, OfferService
from offerlog_application.recording.pending_answer import PendingAnswer, as_future
from offerlog_application.recording.signal_text import SignalInput
from offerlog_domain.identity import parse_action_map_id, parse_visitor_key
from offerlog_domain.lifecycle import WEBCHAT
from offerlog_domain.outcomes import Blocker, OfferOutcome

T = TypeVar("T")


class WriteSide(OrganizationScope):
    """The part of `Offerlog` that writes, and that asks what a write would meet."""

    def __init__(self, service: OfferService, announce: WaitAnnouncer) -> None:
        self._service = service
        self._announce = announce

    def submit(
        self,
        signals: Iterable[SignalInput],
        *,
        organization: str | None = None,
        from_widget: bool = False,
    ) -> Future[Receipt]:
        """Hand in signals as one batch; the future gets their outcomes once all of it is durable.

        Each signal is JSON text in either wire form, the decoded object, or a `Signal`.

        Args:
            signals: The signals.
            organization: The tenant; None for the organization of the service.
            from_widget: Whether the signals came with a widget key, which anybody may hold. Such a signal is
                refused as `too_old` if it is dated further back than `Rules.widget_max_age`.

        Raises:
            OrganizationNameError: The organization's name is not valid.
            OverloadedError: Too much is waiting; nothing was taken.
            ClosedError: The service has been closed.
        """
        return as_future(self.hand_in(signals, organization=organization, from_widget=from_widget))

    def hand_in(
        self,
        signals: Iterable[SignalInput],
        *,
        organization: str | None = None,
        from_widget: bool = False,
    ) -> PendingAnswer[Receipt]:
        """Do as `submit`, with a lighter object than a future: it costs less where many are in flight."""
        return self._service.submit(signals, self._of(organization), from_widget=from_widget)

    def prepare(self, organization: str) -> None:
        """Read what `submit` needs of an organization, so that it does not wait for the store later.

        Raises:
            OrganizationNameError: The organization's name is not valid.
            StoreUnavailableError: The store cannot be reached.
        """
        self._service.prepare(organization)

    def is_prepared(self, organization: str) -> bool:
        """Return True if `prepare` has nothing to read; asks nobody."""
        return self._service.is_prepared(organization)

    def record(
        self,
        signals: Iterable[SignalInput],
        *,
        organization: str | None = None,
        from_widget: bool = False,
    ) -> Receipt:
        """Record signals as one batch, as `submit` does, and wait until all of it is durable."""
        return self.answer_of(self.hand_in(signals, organization=organization, from_widget=from_widget))

    def offer(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        session_id: str,
        customer_id_type: str = "cookie",
        action_id: str | None = None,
        action_map_version: int | None = None,
        timeout_seconds: int | None = None,
        media_type: str = WEBCHAT.media_type,
        organization: str | None = None,
    ) -> OfferOutcome:
        """Ask whether a map may offer to a visitor, and record the offer if so, in one step.

        With an `action_id` of your own, the same id again gets the same decision.

        Raises:
            MalformedSignalError: An argument is wrong; says which, by its wire name, and why.
            OverloadedError: Too much is waiting; nothing was taken.
            ClosedError: The service has been closed.
        """
        deciding = self.hand_in_offer(
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            action_map_id=action_map_id,
            session_id=session_id,
            action_id=action_id,
            action_map_version=action_map_version,
            timeout_seconds=timeout_seconds,
            media_type=media_type,
            organization=organization,
        )
        return self.answer_of(deciding)

    def answer_of(self, submitted: PendingAnswer[T] | Future[T]) -> T:
        """Wait for the answer to a submission; a long wait is announced in the log."""
        with self._announce("what was submitted to be stored"):
            return submitted.result()

    def submit_offer(
        self, *, organization: str | None = None, **arguments: Unpack[OfferArguments]
    ) -> Future[OfferOutcome]:
        """Ask as `offer` does, with the same arguments; the future gets the decision once it is durable.

        Raises:
            MalformedSignalError: An argument is wrong; says which, by its wire name, and why.
            OverloadedError: Too much is waiting; nothing was taken.
            ClosedError: The service has been closed.
        """
        return as_future(self.hand_in_offer(organization=organization, **arguments))

    def hand_in_offer(
        self, *, organization: str | None = None, **arguments: Unpack[OfferArguments]
    ) -> PendingAnswer[OfferOutcome]:
        """Do as `submit_offer`, with a lighter object than a future, for callers with many in flight."""
        return self._service.submit_offer(self._of(organization), **arguments)

    def eligibility(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
    ) -> Blocker | None:
        """Return what blocks an offer to this visitor now, read from the log; None where it may be made.

        Raises:
            MalformedSignalError: An argument is wrong; says which, by its wire name, and why.
        """
        return self.check_eligibility(
            customer_id=customer_id,
            action_map_id=action_map_id,
            customer_id_type=customer_id_type,
            organization=organization,
        ).blocker

    def check_eligibility(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
    ) -> Eligibility:
        """As `eligibility`, and say whether the visitor and map are known.

        Raises:
            MalformedSignalError: An argument is wrong; says which, by its wire name, and why.
        """
        visitor = parse_visitor_key(customer_id=customer_id, customer_id_type=customer_id_type)
        return self._service.eligibility(self._of(organization), visitor, parse_action_map_id(action_map_id))
