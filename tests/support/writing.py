"""Cases for the writer, and how tests hold it to make a group."""

from collections.abc import Sequence
from concurrent.futures import Future
from uuid import UUID

from offerlog_application.recording.commands import RecordSignal
from offerlog_application.recording.signal_text import SignalText
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import Decision
from offerlog_domain.outcomes import OutcomeKind
from offerlog_domain.visitor_offer import VisitorOffer
from support.memory_log import MemoryLog
from support.scenario import RAW, START, signal

ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)
CIRCUMSTANCES = DecisionContext("acme", START)
Answers = Future[list[OutcomeKind | None]]


class Counted(RecordSignal):
    """A case that counts how often it was decided."""

    decided = 0

    def decide(self, offer: VisitorOffer) -> Decision:
        """As its class does."""
        self.decided += 1
        return super().decide(offer)


class Broken(RecordSignal):
    """A case that cannot be decided."""

    def decide(self, offer: VisitorOffer) -> Decision:
        """Never."""
        raise ArithmeticError(offer.id)


def case(stream: UUID, state: str = "offered", action: str = "a") -> Counted:
    """A signal to be judged in that stream."""
    return Counted(stream, signal(state, action), SignalText(RAW), CIRCUMSTANCES)


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
    log.write(case(stream, state, action).decide(log.load([stream])[stream]).events)
