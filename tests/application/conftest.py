"""The application over a log in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from offerlog_application.recording.batches import Receipt
from offerlog_application.recording.expiry import Expiry
from offerlog_application.recording.offers import OfferService
from offerlog_application.recording.short_signal_release import ShortSignalRelease
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.context import Rules
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import ActionMapId, VisitorKey
from offerlog_domain.outcomes import Outcome
from offerlog_infrastructure.testing.clock import SettableClock
from support.memory_log import MemoryLog
from support.scenario import CUSTOMER, MAP, START, uuid


def outcome_words(outcome: Outcome) -> str:
    """An outcome as tests write it."""
    return f"{outcome.kind}: {outcome.reason}" if outcome.reason else str(outcome.kind)


@dataclass
class Desk:
    """The service, its log and its clock."""

    log: MemoryLog
    clock: SettableClock
    service: OfferService
    expiry: Expiry

    def record(self, *reports: Any, organization: str = "acme") -> list[str]:
        """Their outcomes as tests write them."""
        return [outcome_words(outcome) for outcome in self.submit(reports, organization).outcomes]

    def submit(self, reports: Sequence[Any], organization: str = "acme") -> Receipt:
        """Record signals as one batch."""
        return self.service.submit(reports, organization).result(10)

    def offer(self, action: str | None = None, **more: Any) -> Any:
        """Ask for an offer to the visitor of the scenario."""
        usual = {"customer_id": CUSTOMER, "action_map_id": MAP, "session_id": uuid("s")} | more
        action_id = None if action is None else uuid(action)
        return self.service.submit_offer("acme", action_id=action_id, **usual).result(10)

    def stream(self) -> list[RecordedEvent[Event]]:
        """The events of the scenario's visitor-offer."""
        offer = self.service.name("acme", VisitorKey("cookie", CUSTOMER), ActionMapId(MAP))
        return list(self.log.events(offer))

    def short_events(self) -> list[str]:
        """Those events in short: what, of which action."""
        return [f"{one.event.stored_name} {chr(one.private.action_id.int)}" for one in self.stream()]


@pytest.fixture
def log() -> MemoryLog:
    """An empty log."""
    return MemoryLog()


@pytest.fixture
def clock() -> SettableClock:
    """The service's clock, at the scenario's start."""
    return SettableClock(START)


@pytest.fixture
def writer(log: MemoryLog, clock: SettableClock) -> Iterator[GroupCommitWriter]:
    """A writer over it."""
    writer = GroupCommitWriter(log, clock, Rules())
    yield writer
    log.open.set()
    writer.close()


@pytest.fixture
def desk(log: MemoryLog, writer: GroupCommitWriter, clock: SettableClock) -> Desk:
    """The service over it."""
    return Desk(
        log,
        clock,
        OfferService(writer, log),
        Expiry(writer, log, ShortSignalRelease(writer, log.short_signals, log), group=4),
    )
