"""What the log's ports promise, of the log in memory and of the one on PostgreSQL alike."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import pytest
from msgspec.structs import replace

from offerlog_application.ports.deadlines import Deadlines
from offerlog_application.ports.event_log import (
    EventLog,
    HeldStreams,
    StaleEpochError,
    Streams,
    VersionConflictError,
)
from offerlog_application.ports.read_side import StreamReader
from offerlog_application.ports.write_fence import WriteFence
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.outcomes import Reason, Refusal
from offerlog_domain.visitor_offer import VisitorOffer, fold
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.memory import log as memory
from offerlog_infrastructure.memory.reads import MemoryReads
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from offerlog_infrastructure.postgres.log.fence import PostgresFence
from offerlog_infrastructure.postgres.projections.projector import PostgresProjector
from offerlog_infrastructure.postgres.reads.lists import PostgresReadSide
from offerlog_infrastructure.postgres.reads.stream_reader import PostgresStreamReader
from support.keyrings import run_keyring
from support.memory_log import MemoryLog
from support.recount import rows, until
from support.scenario import START, STREAM, BriefEvent, ended, event, facts_of, minute, native, parked

OTHER = UUID(int=77)
REFUSAL = Refusal("acme", START, Reason.MALFORMED, None, None, b"no signal")


class Log(EventLog, Streams, Protocol):
    """What one object is for the service."""


class Case:
    """A log, another writer of the same log, and what reads it."""

    def __init__(
        self,
        logs: Sequence[Log],
        reader: StreamReader,
        deadlines: Deadlines,
        fence: WriteFence,
        *,
        refused: Callable[[], int],
        catch_up: Callable[[], object],
    ) -> None:
        self.log, self.other = logs
        self.reader = reader
        self.deadlines = deadlines
        self.fence = fence
        self.refused = refused
        self.catch_up = catch_up

    def append(
        self, *briefs: BriefEvent, stream: UUID = STREAM, refusals: Sequence[Refusal] = ()
    ) -> list[RecordedEvent[Event]]:
        """Continue a stream with these events; returns them."""
        offer = self.log.load([stream])[stream]
        events = [replace(one, originator_id=stream) for one in facts_of(offer, briefs, None)]
        self.log.append(events, refusals, [fold(events, offer)], hurried=False, epoch=None)
        return events

    def due(self, number: float, **more: object) -> set[tuple[UUID, str]]:
        """What is due where both moments are so many minutes from the start."""
        asked = {"deadline_before": minute(number), "parked_before": minute(number), "limit": 10} | more
        self.catch_up()
        return set(self.deadlines.due(**asked))  # type: ignore[arg-type] # as the port names them


def in_memory(_: pytest.FixtureRequest) -> Iterator[Case]:
    """Everything is the log itself."""
    log = MemoryLog()
    yield Case([log, log], log, log, log, refused=lambda: len(log.refused), catch_up=lambda: None)


def in_a_service_in_memory(_: pytest.FixtureRequest) -> Iterator[Case]:
    """The log of `offerlog.testing`, with the read side over it."""
    log = memory.MemoryLog(RefusalPolicy())
    reads = MemoryReads(log)
    yield Case([log, log], log, reads, log, refused=lambda: len(log.refusals), catch_up=lambda: None)


def on_postgresql(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Two writers, with pools of their own, on one database."""
    dsn = request.getfixturevalue("dsn")
    with (
        closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as application,
        closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as other,
        closing(PostgresProjector(application)) as projector,
    ):
        log = PostgresLog(application)
        reads = PostgresReadSide(application, SystemClock())

        def catch_up() -> None:
            projector.wake()
            until(lambda: reads.position() >= log.last())

        yield Case(
            [log, PostgresLog(other)],
            PostgresStreamReader(application),
            reads,
            PostgresFence(application),
            refused=lambda: int(rows(dsn, "SELECT count(*) FROM refusals")[0][0]),
            catch_up=catch_up,
        )
        reads.close()


@pytest.fixture(params=[in_memory, in_a_service_in_memory, on_postgresql])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """One log of each kind; only the one on PostgreSQL needs a server."""
    yield from request.param(request)


def test_an_unknown_stream_is_at_version_0(case: Case) -> None:
    """It is loaded like any other, and has no newest action."""
    assert case.log.load([STREAM, OTHER]) == {STREAM: VisitorOffer(STREAM), OTHER: VisitorOffer(OTHER)}
    assert case.log.load([]) == {}
    assert case.log.newest_action(STREAM) is None
    assert list(case.reader.events(STREAM)) == []


def test_what_is_appended_is_loaded(case: Case) -> None:
    """By the writer itself, by another one, and by who reads whole streams; bookkeeping events too."""
    # given
    first = case.append(event("offered"), parked("started", at=1), event("accepted", at=2))
    # when
    second = case.append(ended("started"), event("rejected", at=3, stage="form"))
    elsewhere = case.append(event("offered", "b", 4), stream=OTHER)
    # then
    expected = {
        STREAM: fold([*first, *second], VisitorOffer(STREAM)),
        OTHER: fold(elsewhere, VisitorOffer(OTHER)),
    }
    assert case.log.load([STREAM, OTHER]) == expected
    assert case.other.load([OTHER, STREAM]) == expected
    assert list(case.reader.events(STREAM)) == [*first, *second]


def test_positions_rise_and_refusals_alone_have_none(case: Case) -> None:
    """The position is that of the last event."""
    empty, briefs = VisitorOffer(STREAM), facts_of(VisitorOffer(STREAM), [event("offered")], None)
    first = case.log.append(briefs, [REFUSAL], [fold(briefs, empty)], hurried=False, epoch=None)
    assert case.log.append([], [REFUSAL], [], hurried=False, epoch=None) is None
    more = facts_of(fold(briefs, empty), [event("accepted", at=1)], None)
    second = case.other.append(more, [], [], hurried=False, epoch=None)
    assert first is not None
    assert second is not None
    assert 0 < first < second
    assert case.refused() == 2


def test_a_version_that_is_taken_is_a_conflict_and_nothing_is_stored(case: Case) -> None:
    """Neither the other events of the group nor its refusals."""
    # given two writers that loaded the same stream
    mine = facts_of(case.log.load([STREAM])[STREAM], [event("offered")], None)
    theirs = facts_of(case.other.load([STREAM])[STREAM], [event("offered", "b")], None)
    case.other.append(theirs, [], [], hurried=False, epoch=None)
    # when the slower one appends, another stream beside it
    beside = [replace(one, originator_id=OTHER) for one in mine]
    with pytest.raises(VersionConflictError) as raised:
        case.log.append([*beside, *mine], [REFUSAL], [], hurried=False, epoch=None)
    # then
    assert raised.value.stream == STREAM
    assert not raised.value.waiting
    assert case.log.load([STREAM, OTHER])[STREAM] == fold(theirs, VisitorOffer(STREAM))
    assert case.log.load([OTHER])[OTHER] == VisitorOffer(OTHER)
    assert case.refused() == 0


def test_nobody_is_found_to_hold_a_stream_that_nobody_holds(case: Case) -> None:
    """And the stream can be appended to afterwards."""
    assert case.log.find_held({STREAM: 1, OTHER: 1}, 1.0, urgent=False) == HeldStreams()
    assert len(case.append(event("offered"))) == 1


def test_the_newest_action_is_the_one_that_began_last(case: Case) -> None:
    """With all of its events, whatever came after it."""
    case.append(event("offered"), event("errored", at=1), event("offered", "b", 2), parked("started", "b", 3))
    events = case.append(event("accepted", "b", 4))
    newest = case.log.newest_action(STREAM)
    assert newest is not None
    assert newest == case.log.load([STREAM])[STREAM].newest
    assert newest.events[-1] == events[0]
    assert newest.id == native("b")


@pytest.mark.parametrize("name", ["acme", "o" * 64])
def test_an_organization_has_one_secret_of_32_bytes(case: Case, name: str) -> None:
    """Every writer gets the same; another organization has another."""
    assert len(case.log.secret(name)) == 32
    assert case.other.secret(name) == case.log.secret(name) != case.log.secret("other")


def test_an_unanswered_invitation_is_due_when_its_time_is_over(case: Case) -> None:
    """Counted from the later of its two clocks; an answered one, or one without a time-out, never is."""
    case.append(event("offered", recorded=5, timeout_seconds=60))
    case.append(event("offered"), stream=OTHER)
    assert case.due(5.9) == set()
    assert case.due(6) == {(STREAM, "acme")}
    case.append(event("accepted", at=7))
    assert case.due(60) == set()


def test_a_parked_signal_is_due_when_it_waited_long_enough(case: Case) -> None:
    """Until it ends, one way or the other."""
    case.append(parked("started", at=3))
    assert case.due(2.9) == set()
    assert case.due(3) == {(STREAM, "acme")}
    case.append(ended("started"))
    assert case.due(60) == set()


def test_what_is_due_has_a_limit_and_leaves_out_what_is_named(case: Case) -> None:
    """So that one that cannot be ended does not hide the others."""
    streams = [UUID(int=100 + n) for n in range(4)]
    for stream in streams:
        case.append(event("offered", timeout_seconds=1), stream=stream)
    assert len(case.due(1, limit=3)) == 3
    assert case.due(1, besides=streams[:2]) == {(stream, "acme") for stream in streams[2:]}
    assert case.due(1 - timedelta(seconds=59.5) / timedelta(minutes=1)) == set()


def test_what_was_decided_before_a_fence_is_not_stored_after_it(case: Case) -> None:
    """Neither events nor refusals; what is decided anew under the new epoch is."""
    # given a decision
    epoch, empty = case.log.epoch(), VisitorOffer(STREAM)
    events = facts_of(case.log.load([STREAM])[STREAM], [event("offered")], None)
    # when somebody fences before it is stored
    assert case.fence.fence(10) == epoch + 1
    for stored in (events, []):
        with pytest.raises(StaleEpochError) as raised:
            case.log.append(stored, [REFUSAL], [fold(events, empty)], hurried=False, epoch=epoch)
        assert raised.value.epoch == epoch + 1
    # then nothing is there until it is decided again
    assert case.log.load([STREAM]) == {STREAM: empty}
    assert case.refused() == 0
    assert case.log.epoch() == epoch + 1
    case.log.append(events, [REFUSAL], [], hurried=False, epoch=case.log.epoch())
    assert case.log.load([STREAM]) == {STREAM: fold(events, empty)}
    assert case.fence.finish(10) == epoch + 1
