"""One submission: what a caller has handed in, to be stored as a whole, and its pending answer."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from uuid import UUID

from offerlog_application.recording.pending_answer import BEGUN, CANCELLED, PendingAnswer
from offerlog_domain.blocked_offers import BlockedOffer
from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import Decision
from offerlog_domain.identity import OfferKey, OrganizationKey
from offerlog_domain.outcomes import Reason, Refusal
from offerlog_domain.visitor_offer import VisitorOffer

_HOLD_SECONDS: Final = (0.2, 0.3, 0.5, 1.0, *[2.0] * 12)
"""Seconds for which a submission is set aside, time after time, while another writer blocks it. The store
ends a writer that hangs well before the last of these."""

_LONGEST_DELAY: Final = 2
"""Index of the longest pause between two looks at a locked table: half a second."""

T = TypeVar("T")


class UndatedRefusal(NamedTuple):
    """A line of the refusal log before the writer has dated it; the fields are those of `Refusal`."""

    reason: Reason
    field: str | None
    cause: str | None
    raw: bytes
    raw_length: int | None = None
    visitor_digest: UUID | None = None
    action_map_id: UUID | None = None
    parked_number: int | None = None

    def at(self, context: DecisionContext) -> Refusal:
        """Return the refusal of this tenant at this moment."""
        return Refusal(context.organization, context.now, *self)


class Command(Protocol):
    """One decision to be made about one visitor-offer."""

    @property
    def offer(self) -> OfferKey:
        """The visitor-offer."""

    @property
    def stream(self) -> UUID:
        """The id of the visitor-offer."""

    @property
    def has_visitor(self) -> bool:
        """False for a short signal whose action is not known: nobody knows whose it is."""

    @property
    def text_size(self) -> int:
        """Bytes of the signal's text, roughly; 0 where there is none."""

    @property
    def reports_block(self) -> bool:
        """True if the command is a signal of a blocked offer: it is `recorded`, or a `duplicate`."""

    @property
    def is_short(self) -> bool:
        """True for the commands of `short_signals`, whose visitor-offer is looked up before each decision."""

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Decide. The decision is pure, and it is made again if another writer was first."""

    def refusals(self, decision: Decision, context: DecisionContext) -> Sequence[Refusal]:
        """Return the lines of the refusal log that come with a decision.

        Called only where the decision refuses a signal or ends a parking.
        """

    def find_blocked(
        self, decision: Decision, context: DecisionContext, key: OrganizationKey
    ) -> BlockedOffer | None:
        """Return the blocked offer that a tally must count with the decision, unless it was counted before.

        Called only where the command reports a block, or the decision has a blocker.

        Args:
            decision: The decision.
            context: Its context.
            key: The organization's key, which names the blocked offer.
        """


Answer = Callable[[Sequence[Decision], int | None], T]
"""Makes a caller's result of its decisions, in order, and the position of the log at which a reader sees them
(None if nothing was appended)."""


class SubmissionQueue(Protocol):
    """The queue of a submission, as far as the submission needs it."""

    def cancel(self, submission: "Submission") -> bool:
        """Take a submission back; return False if its writing has begun."""


class Submission(PendingAnswer[Any]):
    """The commands and refusals that one caller has handed in, to be stored as a whole, and their answer.

    Args:
        commands: Its commands, in order.
        refusals: Lines that the refusal log gets in any case.
        answer: Makes the caller's result.
        origin: Its origin, for the trace.
        organization: The tenant.
        from_widget: True if it came with a widget key.
        key: The key under which visitors are named in it; None where no secret was used.
        number: Its place in the order of arrival.
        arrived: The time of its hand-in, by the monotonic clock; None for now.

    Attributes:
        queue: The queue that it waits in; None outside of any.
        weight: The amount that counts towards the limits: commands and refusals, or the KiB of their texts
            where that is more.
        missed: Number of times it was set aside although nobody was found to hold it.
        is_delayed: True if it was last set aside because it needs a table that is locked.
        has_short: True if it has commands of short signals.
    """

    queue: SubmissionQueue | None = None
    missed = 0
    is_delayed = False
    _streams: frozenset[UUID] | None = None
    _holds = 0
    _delays = 0
    _first_held = 0.0
    _not_before = 0.0

    def __init__(
        self,
        commands: Sequence[Command],
        refusals: Sequence[UndatedRefusal],
        answer: Answer[Any],
        origin: object,
        organization: str,
        *,
        from_widget: bool = False,
        key: OrganizationKey | None = None,
        number: int = 0,
        arrived: float | None = None,
    ) -> None:
        PendingAnswer.__init__(self)
        self.commands = commands
        self.refusals = refusals
        self.answer = answer
        self.origin = origin
        self.organization = organization
        self.from_widget = from_widget
        self.key = key
        self.number = number
        self.arrived = time.monotonic() if arrived is None else arrived
        self.has_short = False
        weight = size = 0
        for command in commands:
            weight += 1
            size += command.text_size
            if command.is_short:
                self.has_short = True
        for refusal in refusals:
            weight += 1
            size += len(refusal.raw)
        self.weight = max(weight, size >> 10)

    @property
    def streams(self) -> frozenset[UUID]:
        """The visitor-offers that it touches. They may be others after a look-up for its short signals."""
        if self._streams is None or self.has_short:
            self._streams = frozenset([command.stream for command in self.commands])
        return self._streams

    @property
    def tries(self) -> int:
        """Number of times it was set aside because another writer holds it, or may hold it."""
        return self._holds + self.missed

    @property
    def is_untried(self) -> bool:
        """True if it was set aside only because it stands behind another submission."""
        return not (self._holds or self.missed or self._delays)

    def cancel(self) -> bool:
        """Take it back, and give back its room in the queue; return False if its writing has begun."""
        return super().cancel() if self.queue is None else self.queue.cancel(self)

    def begin(self) -> bool:
        """Note that its writing begins; return False if its caller has cancelled it. May be called again.

        The caller holds the lock of the queue.
        """
        if self._state == CANCELLED:
            return False
        self._state = BEGUN
        return True

    def mark_cancelled(self) -> None:
        """Note that its caller has cancelled it, under the lock as `begin`; `call_back` follows."""
        self._state = CANCELLED

    def forget(self) -> None:
        """Drop its texts: it is answered, or it will not be stored."""
        self.commands, self.refusals, self.answer = (), (), _answer_nothing

    def hold(self) -> bool:
        """Put it off once more; return False if it has been put off long enough."""
        now = time.monotonic()
        if self._holds == 0:
            self._first_held = now
        if self._holds == len(_HOLD_SECONDS) or now - self._first_held > sum(_HOLD_SECONDS):
            return False
        self._not_before = now + _HOLD_SECONDS[self._holds]
        self._holds += 1
        return True

    def delay(self) -> None:
        """Put it off because it needs a table that is locked."""
        seconds = _HOLD_SECONDS[min(self._delays, _LONGEST_DELAY)]
        self.is_delayed = True
        self._delays += 1
        self._not_before = time.monotonic() + seconds

    def wait(self, now: float) -> float:
        """Return the seconds for which it is still put off; 0 or less where it is not."""
        return self._not_before - now


def _answer_nothing(_: Sequence[Decision], __: int | None) -> None:
    """The answer of a submission that is over."""
