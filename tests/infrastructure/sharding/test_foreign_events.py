"""A store with events that another shard has recorded answers as a store of which nothing was moved."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from offerlog import Offerlog, ReportQuery, open_offerlog
from offerlog.testing import SettableClock
from offerlog_application.ports.positions import only_position, shard_of_position, split_position
from offerlog_application.reading.exports import ExportRequest
from offerlog_application.reading.timeline import TimelineEntry
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import Cohort, CountBy
from offerlog_infrastructure.postgres.log.horizon import SELECT_LAST_POSITION
from offerlog_infrastructure.postgres.projections.rebuild.staging import StagingSchema
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS
from offerlog_infrastructure.replaying.on_dask import replay_on_dask
from support.internals import application_of
from support.journeys import DAY, an_id, journeys, signal
from support.moved_slices import MovingStores, make_moving_stores, settle, shards, visitors_of
from support.plans import nodes
from support.recount import rows
from support.replays import replay_in_this_process

LATER: Final = DAY + timedelta(days=3)
MAPS: Final = [an_id("map", n) for n in range(3)]
NUMBERS: Final = range(56)

AWAY, ARRIVED, PASSED, BACK = 1, 12, 13, 2
"""The slices: from the home to shard 1, from shard 2 to the home, from shard 2 to shard 1, and from the home
to shard 1 and back."""


class Moved(NamedTuple):
    """An installation whose slices were moved, and a store with the same history of which nothing was.

    Attributes:
        stores: The stores.
        service: The service over them.
        twin: The other one.
        visitors: The numbers of all visitors.
        outcomes: The outcomes of each batch, of both.
    """

    stores: MovingStores
    service: ShardedOfferlog
    twin: Offerlog
    visitors: list[int]
    outcomes: list[tuple[Any, Any]]


def _late(visitors: list[int], at: datetime, action: int) -> list[bytes]:
    """Repeats, late states, another offer, and one that parks and is released by it."""
    lines = []
    for n in visitors:
        named = {"visitor": n, "actionMapId": MAPS[n % 3]}
        for number, state in ((1, "offered"), (1, "abandoned"), (action, "accepted"), (action, "offered")):
            lines.append(signal(state, action=number, createdDate=at.isoformat(), **named))
        if n % 2:
            lines.append(signal("rejected", action=action, createdDate=at.isoformat(), **named))
        other = MAPS[(n + 1) % 3]
        lines.append(
            signal("offered", visitor=n, action=action + 100, actionMapId=other, createdDate=at.isoformat())
        )
    return [json.dumps(one).encode() for one in lines]


@pytest.fixture(scope="module")
def moved(make_module_dsn: Callable[[], str]) -> Iterator[Moved]:
    """Both directions of numbers, a slice that came back, and signals that go on in moved streams."""
    clock = SettableClock(DAY + timedelta(hours=1))
    twin_dsn = make_module_dsn()
    with (
        make_moving_stores(make_module_dsn, "6-9", "a-f") as stores,
        open_offerlog(database_url=twin_dsn, keep_deadlines=False, clock=clock) as twin,
    ):
        outcomes: list[tuple[Any, Any]] = []
        with stores.stores.open(clock=clock) as service:
            # given visitors of all slices, and enough of those that move
            known = [
                visitor
                for slice_ in (AWAY, ARRIVED, PASSED, BACK)
                for visitor in islice(visitors_of(service, slice_), 7)
            ]
            visitors = [*NUMBERS, *known]

            def both(lines: list[bytes]) -> None:
                found = [one.record(lines).outcomes for one in (service, twin)]
                outcomes.append((found[0], found[1]))

            both(journeys(len(NUMBERS)))
            both([line for n in known for line in _late([n], DAY, 2)])
            stores.move(service, AWAY, 1)
            stores.move(service, ARRIVED, 0)
            stores.move(service, PASSED, 1)
            stores.move(service, BACK, 1)
        # when all goes on behind a restart, with cold caches
        clock.set(LATER)
        with stores.stores.open(clock=clock) as service:
            both(_late(visitors, LATER, 5))
            both(_late(visitors, LATER, 5))
            stores.move(service, BACK, 0)
            # and with what the writers remember
            clock.set(LATER + timedelta(days=3))
            both(_late(visitors, LATER + timedelta(days=3), 6))
            clock.set(LATER + timedelta(days=9))
            for one in (service, twin):
                one.expire()
                one.catch_up()
            settle(service)
            yield Moved(stores, service, twin, visitors, outcomes)


def test_what_was_moved_is_foreign_in_both_directions(moved: Moved) -> None:
    """Else the tests below would show nothing."""
    found = [
        Counter(
            (number, shard_of_position(position), stream >> 124)
            for position, stream in (
                (one, other.int)
                for one, other in moved.stores.rows(
                    number, "SELECT notification_id, originator_id FROM offerlog_events"
                )
            )
            if stream >> 124 in {AWAY, ARRIVED, PASSED, BACK}
        )
        for number in (0, 1, 2)
    ]
    shown = {key for counts in found for key in counts}
    assert shown >= {(1, 0, AWAY), (1, 1, AWAY), (0, 2, ARRIVED), (0, 0, ARRIVED), (1, 2, PASSED)}
    assert {key for key in shown if key[2] == BACK and key[0] != 2} >= {(0, 0, BACK), (0, 1, BACK)}


def test_late_signals_are_decided_by_the_whole_stream(moved: Moved) -> None:
    """With cold caches and with warm ones, above and below the store's own positions."""
    for found, of_twin in moved.outcomes:
        assert found == of_twin


def _of_each(service: Offerlog, visitors: list[int], read: str) -> list[Any]:
    asked = [{"customer_id": f"visitor-{n}", "action_map_id": MAPS[n % 3]} for n in visitors]
    return [getattr(service, read)(**one) for one in asked]


@pytest.mark.parametrize("read", ["history", "eligibility"])
def test_whole_streams_are_read(moved: Moved, read: str) -> None:
    """In order of their versions."""
    found, of_twin = (_of_each(one, moved.visitors, read) for one in (moved.service, moved.twin))
    assert found == of_twin


def test_what_a_visitor_did_is_in_the_order_in_which_it_was_recorded(moved: Moved) -> None:
    """Over all streams of the visitor, whatever the positions; also from any entry on."""
    for n in [*moved.visitors][::3]:
        name = f"visitor-{n}"
        entries, of_twin = (list(one.timeline(customer_id=name)) for one in (moved.service, moved.twin))
        assert _shown(entries) == _shown(of_twin)
        times = [one.recorded_at for one in entries]
        assert times == sorted(times)
        for number, entry in [*enumerate(entries[:-1])][n % 5 :: 5]:
            (following, *_) = moved.service.timeline(customer_id=name, behind=entry.place)
            assert following == entries[number + 1]
        rows = moved.service.visitor_data(customer_id=name)
        held = [row.fields for row in rows if row.place == "offerlog_events"]
        times = [fields["recorded_at"] for fields in held]
        assert times == sorted(times)


def _shown(entries: list[TimelineEntry]) -> list[Any]:
    """The entries without what differs between two stores: positions, and the order of one commit."""
    return sorted(
        (one.recorded_at, str(one.action_map_id), one.version or 0, one.kind, str(one.state), str(one.reason))
        for one in entries
    )


def test_suppressions_and_reports_are_those_of_the_twin(moved: Moved) -> None:
    """The newest action counts, whatever its position; repeats are those of whole streams."""
    for n in moved.visitors:
        asked = {"customer_id": f"visitor-{n}"}
        assert moved.service.suppressions(**asked) == moved.twin.suppressions(**asked)
    for cohort in Cohort:
        for count_by in CountBy:
            query = ReportQuery("default", cohort=cohort, count_by=count_by)
            assert moved.service.report(query).rows == moved.twin.report(query).rows


def test_the_end_of_a_log_is_its_own(moved: Moved) -> None:
    """Of projections, tree, feed and lags: no foreign position is the last one, and nothing is behind."""
    for number, one in enumerate(shards(moved.service)):
        ((last,),) = moved.stores.rows(
            number,
            "SELECT max(notification_id) FROM offerlog_events WHERE notification_id >> 40 = %s",
            number,
        )
        assert one.evidence is not None
        assert shard_of_position(last) == number
        assert one._log.last() == one.feed.end() == one.evidence.tree.last_position() == last
        assert {status.lag_events for status in one.projections()} == {0}
        assert one.evidence.progress().lag_events == 0
        assert (split_position(one.position())[0] >> 40) == number
        replays = one.issued_reports._replays
        assert replays.settle(None) == replays.position_at(LATER + timedelta(days=99)) == last
        assert shard_of_position(only_position(replays.position_at(DAY + timedelta(hours=2)))) == number
        # and followers see its own positions alone, also from the beginning
        one.subscriptions.acknowledge("bi", 0)
        ((own,),) = moved.stores.rows(
            number, "SELECT count(*) FROM offerlog_events WHERE notification_id >> 40 = %s", number
        )
        assert {shard_of_position(event.position) for event in one.feed.events()} == {number}
        (lag,) = {found.lag_events for found in one.subscriptions.all()}
        assert lag == own


def test_proofs_count_foreign_events_and_a_rebuild_finds_no_difference(moved: Moved) -> None:
    """On each store; what it has applied is what it holds."""
    for number, one in enumerate(shards(moved.service)):
        ((held, digest),) = moved.stores.rows(
            number, "SELECT count(*), sum(notification_id::numeric * notification_id) FROM offerlog_events"
        )
        for proof in one.verify():
            assert (proof.differences, proof.events, int(proof.digest)) == ((), held, int(digest))
        one.rebuild()


def test_counts_are_explained_by_foreign_events_too(moved: Moved) -> None:
    """Of all stores, each lists those that it holds; wherever they were recorded, they come by position."""
    of_all, of_twin = (
        one.issued_reports.explain(ReportQuery("default", action_maps=(MAPS[0],)), State.OFFERED)
        for one in (moved.service, moved.twin)
    )
    positions = [one.position for one in of_all.events]
    assert len(positions) == of_all.count == of_twin.count
    assert positions == sorted({*positions})
    assert {shard_of_position(one) for one in positions} == {0, 1, 2}


def test_an_export_of_actions_has_whole_streams(moved: Moved) -> None:
    """Of all stores, as the twin has them all."""
    found, of_twin = (
        Counter(
            # without position, and ids of stream and visitor, which are those of the store
            tuple(map(str, (*row[2:15], *row[16:])))
            for batch in one.exports.actions(ExportRequest(is_identified=True)).batches
            for row in batch.rows
        )
        for one in (moved.service, moved.twin)
    )
    assert found == of_twin


def test_a_shard_that_has_recorded_nothing_itself_begins_with_its_own_positions(
    make_dsn: Callable[[], str],
) -> None:
    """All positions below its first one are foreign: no follower at 0 takes them for its own."""
    with make_moving_stores(make_dsn, "f") as stores:
        # given a slice of the home that goes to a shard without any event
        with stores.stores.open() as service:
            visitors = [*islice(visitors_of(service, AWAY), 5)]
            service.record(_late(visitors, DAY, 2))
            stores.move(service, AWAY, 1)
            shard = shards(service)[1]
            _check_followers(shard, 0)
            assert (shard._log.last(), shard.feed.end(), shard.position()) == (0, 0, 0)
            assert shard.issued_reports._replays.settle(None) == 0
            assert {(one.differences, one.events > 0) for one in shard.verify()} == {((), True)}
            shard.rebuild()
        # when it records the first events of its own, and nothing is projected yet
        with stores.stores.open(project=False) as service:
            service.record(_late(visitors, LATER, 5))
            ((own,),) = stores.rows(1, "SELECT count(*) FROM offerlog_events WHERE notification_id >> 40 = 1")
            assert own > 0
            _check_followers(shards(service)[1], own)
        # then that is all that followers see, each once
        with stores.stores.open() as service:
            settle(service)
            shard = shards(service)[1]
            _check_followers(shard, 0, sealed=own)
            assert {one.differences for one in shard.verify()} == {()}
            shard.rebuild()


def _check_followers(shard: Offerlog, lag: int, sealed: int = 0) -> None:
    assert shard.evidence is not None
    progress = shard.evidence.progress()
    assert {one.lag_events for one in shard.projections()} == {lag} == {progress.lag_events}
    assert progress.size == sealed


@pytest.mark.parametrize(
    "step",
    [
        "UPDATE slices SET epoch = epoch + 1 WHERE slice = 3",
        "UPDATE slices SET is_owned = false WHERE slice = 3",
        "INSERT INTO leaving_slices VALUES (3, 1, 2)",
    ],
)
def test_an_interrupted_rebuild_is_not_resumed_behind_a_move(offerlog: Offerlog, dsn: str, step: str) -> None:
    """Its tables may lack what has come, or hold what has gone."""
    # given
    application = application_of(offerlog)
    staging = StagingSchema(application.log.datastore.schema)
    with application.connect() as connection:
        staging.open(connection, PROJECTIONS, 7)
        assert staging.goal(connection, PROJECTIONS) == 7
        # when
        rows(dsn, step)
        # then
        assert staging.goal(connection, PROJECTIONS) is None


def test_readers_of_positions_use_their_index(moved: Moved) -> None:
    """The bound costs no scan."""
    ((plan,),) = moved.stores.rows(0, f"EXPLAIN (FORMAT JSON) {SELECT_LAST_POSITION}")
    scans = [
        node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name", "").startswith("offerlog_events")
    ]
    assert scans
    for node in scans:
        assert node["Node Type"] in {"Index Only Scan", "Index Scan"}
        assert "notification_id >" in node["Index Cond"]
    assert application_of(shards(moved.service)[0]).log.safe_position() < 1 << 40


def test_a_replay_outside_the_database_gives_the_live_projections(
    moved: Moved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each store, with its foreign events."""
    pytest.importorskip("pyarrow")
    replay_in_this_process(monkeypatch)
    assert moved.service.slices is not None
    done = replay_on_dask(moved.service.slices, tmp_path, None, lambda _: None)
    assert [one.differences for one in done.projections] == [[]] * len(done.projections)
    assert len(done.projections) == len(PROJECTIONS) * len(shards(moved.service))
    assert done.is_equal


def test_a_dead_letter_waits_from_a_version_on(make_dsn: Callable[[], str]) -> None:
    """The events behind it have lower positions than it has itself."""
    with make_moving_stores(make_dsn, "f") as stores, stores.stores.open() as service:
        # given a stream with foreign events up to some version, whose positions are above those of the store
        visitors = [*islice(visitors_of(service, 15), 3)]
        service.record(_late(visitors, DAY, 2))
        stores.move(service, 15, 0)
        service.record(_late(visitors, LATER, 5))
        settle(service)
        home = shards(service)[0]
        # when a foreign event cannot be read
        ((stream, version, topic),) = stores.rows(
            0,
            "SELECT originator_id, originator_version, topic FROM offerlog_events"
            " WHERE notification_id >> 40 = 1 ORDER BY originator_version DESC, originator_id LIMIT 1",
        )
        change = "UPDATE offerlog_events SET topic = %s WHERE originator_id = %s AND originator_version = %s"
        stores.rows(0, change, "unknown.1", stream, version)
        home.rebuild(accept_difference=True)
        # then it waits with all events behind it, own ones too, and the proofs leave out the same
        ((behind,),) = stores.rows(
            0,
            "SELECT count(*) FROM offerlog_events WHERE originator_id = %s AND originator_version > %s",
            stream,
            version,
        )
        assert behind > 0
        assert {(one.version, one.waiting) for one in home.dead_letters()} == {(version, behind + 1)}
        assert {one.differences for one in home.verify()} == {()}
        # and when it can be read again, all of them are applied
        stores.rows(0, change, topic, stream, version)
        assert home.retry_dead_letters() == 3
        assert list(home.dead_letters()) == []
        assert {one.differences for one in home.verify()} == {()}
        home.rebuild()
