"""The use cases of the write side: record signals, make offers, check eligibility."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Required, TypedDict
from uuid import UUID

from offerlog_application.ports.event_log import Streams
from offerlog_application.ports.organizations import check_organization
from offerlog_application.ports.positions import LogPosition
from offerlog_application.recording.batches import Batch, Receipt
from offerlog_application.recording.commands import RequestOffer
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.recording.random_ids import RandomIds
from offerlog_application.recording.signal_text import SignalInput
from offerlog_application.recording.writers import Writer
from offerlog_domain.decision import Decision
from offerlog_domain.errors import ArgumentTypeError
from offerlog_domain.identity import ActionMapId, OfferKey, OrganizationKey, VisitorKey
from offerlog_domain.lifecycle import WEBCHAT
from offerlog_domain.offer_rule import find_blocker
from offerlog_domain.offer_signals import build_offer_signal
from offerlog_domain.outcomes import Blocker, OfferBlocked, OfferMade, OfferOutcome, OutcomeKind, Reason
from offerlog_domain.signals import MalformedSignalError
from offerlog_domain.uuids import format_uuid, parse_uuid
from offerlog_domain.visitor_offer import VisitorOffer


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The answer of an eligibility check.

    Attributes:
        blocker: What stands against it; None where it may be made.
        known: True if any event was recorded for this visitor and action map. A misspelled customer id is not
            known, nor is a visitor of whom signals are parked alone.
    """

    blocker: Blocker | None
    known: bool


class OfferArguments(TypedDict, total=False):
    """The arguments of a request for an offer.

    Attributes:
        customer_id: The visitor's id.
        customer_id_type: The kind of that id; `cookie` unless given.
        action_map_id: The action map that wants to offer.
        session_id: The visit.
        action_id: The caller's id of the invitation; the same id again gets the same decision.
        action_map_version: The map's version.
        timeout_seconds: Seconds after which the widget withdraws the invitation.
        media_type: The vendor's `actionMediaType`; `webchat` unless given.
    """

    customer_id: Required[str]
    customer_id_type: str
    action_map_id: Required[str]
    session_id: Required[str]
    action_id: str | None
    action_map_version: int | None
    timeout_seconds: int | None
    media_type: str


class OfferService:
    """The use cases of the write side; thread-safe.

    Args:
        writer: The writer in this process.
        streams: The port to the streams of visitor-offers.

    Attributes:
        blocked: Number of offers that this process has blocked, by reason.
    """

    def __init__(self, writer: Writer, streams: Streams) -> None:
        self._writer = writer
        self._streams = streams
        self._checked: set[str] = set()
        self._ids = RandomIds()
        self.blocked: Counter[Reason] = Counter()

    def submit(
        self, signals: Iterable[SignalInput], organization: str, *, from_widget: bool = False
    ) -> PendingAnswer[Receipt]:
        """Hand in signals as one batch; the answer is the receipt, once all of it is durable.

        Every signal has exactly one outcome. A bad one does not harm the others.

        Args:
            signals: The signals.
            organization: The tenant.
            from_widget: True if they come with a widget key: those may not be dated far back (check 3).

        Raises:
            ArgumentTypeError: One signal was given, not a list of signals.
            OrganizationNameError: The organization's name is not valid.
            OverloadedError: Too much is waiting; nothing was taken.
            ClosedError: The service has been closed.
        """
        if type(signals) is not list and isinstance(signals, str | bytes | Mapping):
            raise ArgumentTypeError("signals", "signals are given as a list, also where there is one only")
        key = self._key(organization)
        batch = Batch(signals, key)
        return self._writer.submit(
            batch.commands,
            batch.refusals,
            batch.receipt,
            organization=organization,
            from_widget=from_widget,
            key=key,
        )

    def prepare(self, organization: str) -> None:
        """Read the organization's secret, which the first call would wait for otherwise.

        Raises:
            OrganizationNameError: The organization's name is not valid.
            StoreUnavailableError: The store cannot be reached.
        """
        self._key(organization)

    def is_prepared(self, organization: str) -> bool:
        """Return True if `prepare` has nothing to read."""
        return self._streams.remembers_key(organization)

    def submit_offer(
        self,
        organization: str,
        *,
        customer_id: str,
        customer_id_type: str = "cookie",
        action_map_id: str,
        session_id: str,
        action_id: str | None = None,
        action_map_version: int | None = None,
        timeout_seconds: int | None = None,
        media_type: str = WEBCHAT.media_type,
    ) -> PendingAnswer[OfferOutcome]:
        """Ask whether the map may offer to this visitor and record the offer if so, in one step.

        With an `action_id` of the caller's own, the same id again gets the same decision.

        Raises:
            MalformedSignalError: Names the argument at fault, by its wire name, and the reason. As the
                answer: the action of that id cannot be offered any more.
            OrganizationNameError: The organization's name is not valid.
            OverloadedError: Too much is waiting; nothing was taken.
            ClosedError: The service has been closed.
        """
        key = self._key(organization)
        signal = build_offer_signal(
            action_id=format_uuid(self._ids.take()) if action_id is None else action_id,
            action_map_id=action_map_id,
            action_map_version=action_map_version,
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            session_id=session_id,
            timeout_seconds=timeout_seconds,
            media_type=media_type,
        )
        command = RequestOffer(key.offer_of(signal), signal, has_own_id=action_id is not None)

        def answer(decisions: Sequence[Decision], position: LogPosition | None) -> OfferOutcome:
            by = decisions[0].blocker
            if by is None:
                _check_offered(decisions[0])
                shown_at = position if decisions[0].events and isinstance(position, int) else None
                return OfferMade(format_uuid(signal.action_id), shown_at)  # one visitor: one log
            self.blocked[by.reason] += 1
            return OfferBlocked(format_uuid(signal.action_id) if command.has_own_id else None, by)

        return self._writer.submit([command], (), answer, organization=organization, key=key)

    def eligibility(self, organization: str, visitor: VisitorKey, action_map_id: ActionMapId) -> Eligibility:
        """Find what blocks an offer now, from the log, and whether the visitor-offer is known at all.

        Raises:
            OrganizationNameError: The organization's name is not valid.
        """
        key = self.name(organization, visitor, action_map_id)
        newest, policy = self._streams.newest_action(key)
        offer = VisitorOffer(key.id, newest=newest)
        by = find_blocker(offer, self._writer.now(), self._writer.rules, dated=False, policy=policy)
        return Eligibility(by, known=newest is not None)

    def name(self, organization: str, visitor: VisitorKey, action_map_id: ActionMapId) -> OfferKey:
        """Return the name of a visitor-offer, for which no event need be recorded.

        Raises:
            OrganizationNameError: The organization's name is not valid.
        """
        return self._key(organization).offer(visitor, parse_uuid(action_map_id))

    def digest(self, organization: str, visitor: VisitorKey) -> UUID:
        """Return the keyed digest of a visitor, of whom no event need be recorded.

        Raises:
            OrganizationNameError: The organization's name is not valid.
        """
        return self._key(organization).digest(visitor)

    def _key(self, organization: str) -> OrganizationKey:
        if organization not in self._checked:
            check_organization(organization)
            self._checked.add(organization)
        return self._streams.key(organization)


def _check_offered(decision: Decision) -> None:
    """Check that an offer that nothing blocks is in the log, now or since an earlier request.

    Raises:
        MalformedSignalError: The caller's action id is that of an action that cannot be offered.
    """
    if decision.outcome is not OutcomeKind.REFUSED:
        return
    if decision.reason is Reason.ACTION_OVER:
        cause = "the action with this id has ended without an offer; ask with another id"
    else:
        cause = "the action with this id has another media type; ask with that one, or with another id"
    raise MalformedSignalError("actionId", cause)
