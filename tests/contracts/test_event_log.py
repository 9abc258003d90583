"""What the log's ports promise, of the log in memory and of the one on PostgreSQL alike."""

from collections.abc import Callable, Collection, Iterator, Sequence
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
from offerlog_domain.identity import OfferKey, OrganizationKey, VisitorKey, name_offer
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
from support.scenario import (
    MAP_ID,
    START,
    STREAM,
    BriefEvent,
    ended,
    event,
    facts_of,
    minute,
    native,
    offer_key,
    parked,
)

OFFER = offer_key(STREAM)
OTHER = offer_key(UUID(int=0xC << 124 | 77), customer="visitor-2")
"""A visitor-offer of another visitor, whose streams lie in another slice."""

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
        self, *briefs: BriefEvent, key: OfferKey = OFFER, refusals: Sequence[Refusal] = ()
    ) -> list[RecordedEvent[Event]]:
        """Continue a stream with these events; returns them."""
        offer = self.log.load([key])[key.id]
        events = [replace(one, originator_id=key.id) for one in facts_of(offer, briefs, None)]
        self.log.append(events, refusals, [fold(events, offer)], hurried=False, epoch=None)
        return events

    def due(self, number: float, **more: object) -> set[UUID]:
        """What is due where both moments are so many minutes from the start."""
        asked = {"deadline_before": minute(number), "parked_before": minute(number), "limit": 10} | more
        self.catch_up()
        due = self.deadlines.due(**asked)  # type: ignore[arg-type] # as the port names them
        assert all(key == name_offer("acme", key.visitor_digest, MAP_ID) for key in due)
        return {key.id for key in due}


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
    """Two writers, with separate pools, on one database."""
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
    assert case.log.load([OFFER, OTHER]) == {key.id: VisitorOffer(key.id) for key in (OFFER, OTHER)}
    assert case.log.load([]) == {}
    assert case.log.newest_action(OFFER).action is None
    assert list(case.reader.events(OFFER)) == []


def test_what_is_appended_is_loaded(case: Case) -> None:
    """By the writer itself, by another one, and by who reads whole streams; bookkeeping events too."""
    # given
    first = case.append(event("offered"), parked("started", at=1), event("accepted", at=2))
    # when
    second = case.append(ended("started"), event("rejected", at=3, stage="form"))
    elsewhere = case.append(event("offered", "b", 4), key=OTHER)
    # then
    expected = {
        STREAM: fold([*first, *second], VisitorOffer(STREAM)),
        OTHER.id: fold(elsewhere, VisitorOffer(OTHER.id)),
    }
    assert case.log.load([OFFER, OTHER]) == expected
    assert case.other.load([OTHER, OFFER]) == expected
    assert list(case.reader.events(OFFER)) == [*first, *second]
    assert list(case.reader.events(OTHER)) == elsewhere


def test_positions_rise_and_refusals_alone_have_none(case: Case) -> None:
    """The position is that of the last event."""
    empty, briefs = VisitorOffer(STREAM), facts_of(VisitorOffer(STREAM), [event("offered")], None)
    case.log.load([OFFER])  # once: more may follow what begins a stream
    first = case.log.append(briefs, [REFUSAL], [fold(briefs, empty)], hurried=False, epoch=None)
    assert case.log.append([], [REFUSAL], [], hurried=False, epoch=None) is None
    more = facts_of(fold(briefs, empty), [event("accepted", at=1), event("started", at=2)], None)
    second = case.log.append(more[:1], [], [], hurried=False, epoch=None)
    case.other.load([OFFER])
    third = case.other.append(more[1:], [], [], hurried=False, epoch=None)
    assert first is not None
    assert second is not None
    assert third is not None
    assert 0 < first < second < third
    assert case.refused() == 2


def test_a_version_that_is_taken_is_a_conflict_and_nothing_is_stored(case: Case) -> None:
    """Neither the other events of the group nor its refusals."""
    # given two writers that loaded the same stream
    case.append(event("offered"), event("errored", at=1))
    before = case.log.load([OFFER, OTHER])[STREAM]
    mine = facts_of(before, [event("offered", "b", 2)], None)
    theirs = facts_of(case.other.load([OFFER])[STREAM], [event("offered", "c", 2)], None)
    case.other.append(theirs, [], [], hurried=False, epoch=None)
    # when the slower one appends, another stream beside it
    beside = [
        replace(one, originator_id=OTHER.id)
        for one in facts_of(VisitorOffer(OTHER.id), [event("offered")], None)
    ]
    with pytest.raises(VersionConflictError) as raised:
        case.log.append([*beside, *mine], [REFUSAL], [], hurried=False, epoch=None)
    # then
    assert raised.value.streams == {STREAM}
    assert not raised.value.waiting
    assert case.log.load([OFFER, OTHER])[STREAM] == fold(theirs, before)
    assert case.log.load([OTHER])[OTHER.id] == VisitorOffer(OTHER.id)
    assert case.refused() == 0


def test_a_visitor_who_is_new_to_two_writers_is_recorded_once(case: Case) -> None:
    """The slower one may have to load again what it has of the visitor; then both are found."""
    # given two writers that loaded different maps of one new visitor
    digest, maps = UUID(int=0x9 << 124), (MAP_ID, UUID(int=3))
    keys = [name_offer("acme", digest, one, VisitorKey("cookie", "new")) for one in maps]
    drafts = []
    for writer, key in zip((case.other, case.log), keys, strict=True):
        drafted = facts_of(writer.load([key])[key.id], [event("offered")], None)
        public = replace(drafted[0].event, action_map_id=key.action_map_id)
        drafts.append([replace(drafted[0], originator_id=key.id, event=public)])
    # when both append
    case.other.append(drafts[0], [], [], hurried=False, epoch=None)
    conflicts: list[tuple[Collection[UUID], bool]] = []
    try:
        case.log.append(drafts[1], [], [], hurried=False, epoch=None)
    except VersionConflictError as conflict:
        conflicts.append((conflict.streams, conflict.waiting))
        case.log.load(keys[1:])
        case.log.append(drafts[1], [], [], hurried=False, epoch=None)
    # then
    assert conflicts in ([], [(frozenset({keys[1].id}), False)])
    assert [list(case.reader.events(key)) for key in keys] == drafts
    offers = [fold(drafted, VisitorOffer(key.id)) for key, drafted in zip(keys, drafts, strict=True)]
    assert case.log.load(keys) == {offer.id: offer for offer in offers}


def test_a_new_visitor_has_a_name(case: Case) -> None:
    """Known by the digest alone, nothing can be recorded of the visitor, and nothing is."""
    nameless = OFFER._replace(visitor=None)
    events = facts_of(case.log.load([nameless])[STREAM], [event("offered")], None)
    with pytest.raises(ValueError, match="belongs to a visitor without a name"):
        case.log.append(events, [REFUSAL], [], hurried=False, epoch=None)
    assert list(case.reader.events(OFFER)) == []
    assert case.refused() == 0
    case.append(event("offered"))
    assert case.log.load([nameless])[STREAM].version == 1


def test_nobody_is_found_to_hold_a_stream_that_nobody_holds(case: Case) -> None:
    """And the stream can be appended to afterwards."""
    case.append(event("offered"), key=OTHER)
    case.log.load([OFFER, OTHER])
    assert case.log.find_held({OTHER.id: 2}, 1.0, urgent=False) == HeldStreams()
    assert len(case.append(event("offered"))) == 1


def test_the_newest_action_is_the_one_that_began_last(case: Case) -> None:
    """With all of its events, whatever came after it."""
    case.append(event("offered"), event("errored", at=1), event("offered", "b", 2), parked("started", "b", 3))
    events = case.append(event("accepted", "b", 4))
    newest = case.log.newest_action(OFFER).action
    assert newest is not None
    assert newest == case.log.load([OFFER])[STREAM].newest
    assert newest.events[-1] == events[0]
    assert newest.id == native("b")


@pytest.mark.parametrize("name", ["acme", "o" * 64])
def test_an_organization_has_one_key(case: Case, name: str) -> None:
    """Every writer gets the same; another organization has another."""
    key = case.log.key(name)
    assert key.organization == name
    assert case.other.key(name).has_secret_of(key)
    assert case.other.is_current(key)
    assert not case.log.key("other").has_secret_of(key)
    assert not case.log.is_current(OrganizationKey(name, bytes(32)))


def test_an_unanswered_invitation_is_due_when_its_time_is_over(case: Case) -> None:
    """Counted from the later of its two clocks; an answered one, or one without a time-out, never is."""
    case.append(event("offered", recorded=5, timeout_seconds=60))
    case.append(event("offered"), key=OTHER)
    assert case.due(5.9) == set()
    assert case.due(6) == {STREAM}
    case.append(event("accepted", at=7))
    assert case.due(60) == set()


def test_a_parked_signal_is_due_when_it_waited_long_enough(case: Case) -> None:
    """Until it ends, one way or the other."""
    case.append(parked("started", at=3))
    assert case.due(2.9) == set()
    assert case.due(3) == {STREAM}
    case.append(ended("started"))
    assert case.due(60) == set()


def test_what_is_due_has_a_limit_and_leaves_out_what_is_named(case: Case) -> None:
    """So that one that cannot be ended does not hide the others."""
    keys = [offer_key(UUID(int=100 + n)) for n in range(4)]
    for key in keys:
        case.append(event("offered", timeout_seconds=1), key=key)
    assert len(case.due(1, limit=3)) == 3
    assert case.due(1, besides=keys[:2]) == {key.id for key in keys[2:]}
    assert case.due(1, besides=[key._replace(visitor=None) for key in keys[1:]]) == {keys[0].id}
    assert case.due(1 - timedelta(seconds=59.5) / timedelta(minutes=1)) == set()


def test_what_was_decided_before_a_fence_is_not_stored_after_it(case: Case) -> None:
    """Neither events nor refusals; what is decided anew under the new epoch is."""
    # given a decision
    epoch, empty = case.log.epoch(), VisitorOffer(STREAM)
    events = facts_of(case.log.load([OFFER])[STREAM], [event("offered")], None)
    # when somebody fences before it is stored
    assert case.fence.fence(10) == epoch + 1
    for stored in (events, []):
        with pytest.raises(StaleEpochError) as raised:
            case.log.append(stored, [REFUSAL], [fold(events, empty)], hurried=False, epoch=epoch)
        assert raised.value.epoch == epoch + 1
    # then nothing is there until it is decided again
    assert case.log.load([OFFER]) == {STREAM: empty}
    assert case.refused() == 0
    assert case.log.epoch() == epoch + 1
    case.log.append(events, [REFUSAL], [], hurried=False, epoch=case.log.epoch())
    assert case.log.load([OFFER]) == {STREAM: fold(events, empty)}
    assert case.fence.finish(10) == epoch + 1
