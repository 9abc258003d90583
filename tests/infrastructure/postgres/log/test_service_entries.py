"""Events that belong to no visitor-offer, in a real log: written under the fence, passed over."""

import threading
from contextlib import closing
from uuid import UUID

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_domain.event_fields import SealedEvent
from offerlog_domain.service_events import SERVICE_EVENTS, VisitorErased
from offerlog_domain.stream_ids import make_organization_stream_id, make_visitor_stream_id
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.fence import PostgresFence
from offerlog_infrastructure.postgres.log.service_log import PostgresServiceLog
from offerlog_infrastructure.postgres.projections.rebuild import staging
from support.journeys import journeys
from support.processes import finish
from support.recount import contents, rows
from support.service_events import ONE_OF_EACH

OWN = make_organization_stream_id("acme")
_SELECT_TOKENS = """
    (SELECT visitor FROM suppressions ORDER BY version DESC, 1 LIMIT 1)
    UNION (SELECT visitor FROM parked_signals ORDER BY 1 LIMIT 1)
"""
_COUNT_ROWS = """
    SELECT (SELECT count(*) FROM suppressions WHERE visitor = ANY(%s)),
        (SELECT count(*) FROM parked_signals WHERE visitor = ANY(%s)),
        (SELECT count(*) FROM current_offers WHERE visitor = ANY(%s)),
        (SELECT count(*) FROM current_actions WHERE left(originator_id::text, 18) = ANY(%s))
"""
_SPOIL = """
    UPDATE offerlog_events SET topic = %s WHERE topic = %s AND left(originator_id::text, 18) = ANY(%s)
"""


def append_all(dsn: str, *erased: UUID) -> None:
    """One of each kind, and an erasure in each of those streams."""
    with closing(OfferlogApplication(dsn, SCHEMA)) as application:
        log = PostgresServiceLog(application)
        for event in ONE_OF_EACH:
            for stream in erased if isinstance(event, VisitorErased) else [OWN]:
                log.append_entry(stream, event)


class Visitors:
    """One who is suppressed, and one of whom a signal is parked."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.tokens = [token for (token,) in rows(dsn, _SELECT_TOKENS)]
        self.streams = [make_visitor_stream_id(token) for token in self.tokens]
        self.heads = [str(stream)[:18] for stream in self.streams]
        assert len(self.tokens) == 2
        assert {count > 0 for count in self.count()} == {True}

    def count(self) -> tuple[int, ...]:
        """Their rows, by table."""
        (found,) = rows(self.dsn, _COUNT_ROWS, self.tokens, self.tokens, self.tokens, self.heads)
        return found


def last(dsn: str) -> int:
    """The last position in the log."""
    ((position,),) = rows(dsn, "SELECT max(notification_id) FROM offerlog_events")
    return int(position)


def test_the_check_of_stored_events_and_the_proofs_take_them(offerlog: Offerlog, dsn: str) -> None:
    """And no answer changes by them; the library reads each of them."""
    # given
    offerlog.wait(offerlog.record(journeys(40)).position)
    before = contents(dsn)
    # when
    append_all(dsn, OWN)
    offerlog.wait(last(dsn))
    # then
    kinds = {kind.topic: kind.error for kind in offerlog.stored_kinds()}
    assert {f"{kind.stored_name}.2" for kind in SERVICE_EVENTS} <= kinds.keys()
    assert {*kinds.values()} == {None}
    assert all(not one.differences for one in offerlog.verify())
    after = contents(dsn)
    assert {name for name in after if after[name] != before[name]} == {
        "projection_proofs",
        "blocked_counts",
    }
    with closing(OfferlogApplication(dsn, SCHEMA)) as application:
        stored = application.log.select_notifications(1, 9_999)
        read = [application.mapper.to_domain_event(one) for one in stored]
    found = [one.event for one in read if isinstance(one, SealedEvent)]
    assert found[-len(ONE_OF_EACH) :] == ONE_OF_EACH
    assert len(found) == len(stored)


def test_a_rebuild_folds_an_erasure_as_the_projector_does(
    offerlog: Offerlog, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the pages of a rebuild or those behind its goal hold it; the counts stay."""
    # given
    monkeypatch.setattr(staging, "EVENTS_A_SLICE", 100)
    offerlog.wait(offerlog.record(journeys(200)).position)
    visitors = Visitors(dsn)
    counted = {name: found for name, found in contents(dsn).items() if name.startswith("performance")}
    # when
    append_all(dsn, *visitors.streams)
    offerlog.wait(last(dsn))
    live = contents(dsn)
    offerlog.rebuild()
    # then
    assert visitors.count() == (0, 0, 0, 0)
    assert contents(dsn) == live
    assert {name: live[name] for name in counted} == counted
    assert all(not one.differences for one in offerlog.verify())


def test_a_dead_letter_that_is_lifted_after_the_erasure_brings_nothing_back(
    offerlog: Offerlog, dsn: str
) -> None:
    """Its events are applied, counted, and removed once more."""
    # given
    offerlog.wait(offerlog.record(journeys(200)).position)
    visitors = Visitors(dsn)
    rows(dsn, _SPOIL, "vanished.7", "offered.3", visitors.heads)
    offerlog.rebuild(accept_difference=True)
    assert offerlog.dead_letters()
    append_all(dsn, *visitors.streams)
    offerlog.wait(last(dsn))
    # when
    rows(dsn, _SPOIL, "offered.3", "vanished.7", visitors.heads)
    assert offerlog.retry_dead_letters() > 0
    # then
    assert visitors.count() == (0, 0, 0, 0)
    offerlog.catch_up()
    live = contents(dsn)
    offerlog.rebuild()
    assert contents(dsn) == live


def test_entries_of_several_writers_take_versions_in_order_beside_fences(dsn: str) -> None:
    """Whoever was too late, or looked under an older epoch, tries again by itself."""
    event = ONE_OF_EACH[-1]

    def append() -> None:
        with closing(OfferlogApplication(dsn, SCHEMA)) as application:
            log = PostgresServiceLog(application)
            for _ in range(25):
                log.append_entry(OWN, event)

    writers = [threading.Thread(target=append) for _ in range(3)]
    with closing(OfferlogApplication(dsn, SCHEMA)) as application:
        # given
        for writer in writers:
            writer.start()
        # when
        fence, raised = PostgresFence(application), 0
        while any(writer.is_alive() for writer in writers):
            raised = fence.fence(10)
        for writer in writers:
            finish(writer)
        # then
        entries = PostgresServiceLog(application).read_entries(OWN)
    assert raised > 1
    assert [one.version for one in entries] == [*range(1, 76)]
    assert [one.position for one in entries] == sorted(one.position for one in entries)
