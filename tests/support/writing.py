"""Cases for the writer, and how tests hold it to make a group."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from offerlog_application.recording.commands import RecordSignal
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.recording.signal_text import SignalText
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.context import DecisionContext, Rules
from offerlog_domain.decision import Decision
from offerlog_domain.outcomes import OutcomeKind
from offerlog_domain.visitor_offer import VisitorOffer
from offerlog_infrastructure.testing.clock import SettableClock
from support.memory_log import MemoryLog
from support.scenario import RAW, START, native_signal, offer_key

ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)
Answers = PendingAnswer[list[OutcomeKind | None]]


class Counted(RecordSignal):
    """A case that counts how often it was decided."""

    decided = 0

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """As its class does."""
        self.decided += 1
        return super().decide(offer, context)


class Broken(RecordSignal):
    """A case that cannot be decided."""

    def decide(self, offer: VisitorOffer, context: DecisionContext) -> Decision:
        """Never."""
        del context
        raise ArithmeticError(offer.id)


def make_writer(log: MemoryLog, **options: Any) -> GroupCommitWriter:
    """A writer whose clock stands at the scenario's start."""
    return GroupCommitWriter(log, SettableClock(START), Rules(), **options)


def case(stream: UUID, state: str = "offered", action: str = "a") -> Counted:
    """A signal to be judged in that stream."""
    return Counted(offer_key(stream), native_signal(state, action), SignalText(RAW))


def kinds(decisions: Sequence[Decision], position: int | None) -> list[OutcomeKind | None]:
    """The answer: what became of each."""
    del position
    return [decision.outcome for decision in decisions]


def send(writer: GroupCommitWriter, *cases: RecordSignal, organization: str = "acme") -> Answers:
    """Hand in cases as one submission."""
    return writer.submit(cases, (), kinds, organization=organization)


def held(writer: GroupCommitWriter, log: MemoryLog) -> Answers:
    """Make the writer busy, so that what is sent next becomes one group; `log.open.set()` lets go."""
    log.open.clear()
    log.entered.clear()
    busy = send(writer, case(UUID(int=99)))
    assert log.entered.wait(10)
    return busy


def other_writer(log: MemoryLog, stream: UUID, state: str = "offered", action: str = "a") -> None:
    """Somebody else records something there."""
    context = DecisionContext("acme", START)
    offer = log.load([offer_key(stream)])[stream]
    log.write(case(stream, state, action).decide(offer, context).events)
