"""The audits of logs whose events were moved: of one store alone, and of all of them."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from offerlog import NotOverShardsError, NotSealedError, ReportQuery, ShardError
from offerlog_application.evidence.bundle_parts import BundleRequest
from offerlog_application.evidence.evidence import Evidence
from offerlog_application.evidence.findings import AuditReport, FindingKind
from offerlog_application.ports.shards import SliceInMotionError
from offerlog_application.sharding.joined_tree import JoinedTree
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.metrics import CountBy, MetricSet
from offerlog_domain.transparency.errors import ProofError
from offerlog_domain.transparency.notes import SignatureType
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.evidence import verify_bundle as alone
from offerlog_infrastructure.evidence.audit_key import make_audit_key
from offerlog_infrastructure.evidence.bundle_papers import write_bundle
from offerlog_infrastructure.installation import Installation
from offerlog_infrastructure.opened_store import OpenStore
from offerlog_infrastructure.postgres.projections.projector import LOCK_SPACE
from offerlog_infrastructure.postgres.tree.sealer import TreeDamagedError, TreeSealer
from offerlog_infrastructure.shard_places import place_of_shard
from support.internals import application_of
from support.joined_bundles import forge_logs, key_options
from support.journeys import journeys, signal
from support.keyrings import run_keyring
from support.moved_slices import MovingStores, make_moving_stores, settle, shards, visitors_of

GONE, BACK, STAYED = 3, 4, 5
"""Slices of the home: one moved to shard 1, one that has come back from there, and one that stayed."""

_SELECT_MOVED: Final = """
    SELECT notification_id FROM offerlog_events
    WHERE originator_id::text LIKE '3%' AND substr(originator_id::text, 2, 9) <> '0000000-0'
      AND notification_id < 1 << 30
    ORDER BY 1
"""


@pytest.fixture(scope="module")
def stores(make_module_dsn: Callable[[], str]) -> Iterator[MovingStores]:
    """A home and two shards, with visitors in all slices."""
    with make_moving_stores(make_module_dsn, "6-a", "b-f") as stores:
        with stores.stores.open() as service:
            service.record(journeys(56))
            for slice_ in (GONE, BACK, STAYED, 12):
                visitor = next(visitors_of(service, slice_))
                service.record([signal(one, visitor=visitor) for one in ("offered", "accepted", "rejected")])
            stores.move(service, GONE, 1)
            stores.move(service, 12, 0)
            service.record([signal("offered", visitor=next(visitors_of(service, 12)), action=2)])
            stores.move(service, BACK, 1)
            service.record([signal("offered", visitor=next(visitors_of(service, BACK)), action=2)])
            settle(service)
            stores.move(service, BACK, 0)
            service.record(journeys(70))
            service.record([signal("offered", visitor=next(visitors_of(service, 0)))])  # the last of the home
            settle(service)
        yield stores


def _audit_all(stores: MovingStores) -> dict[int, AuditReport]:
    with Installation(None, stores.stores.dsns[0], run_keyring()) as installation:
        assert list(installation.verify()) == []
        return dict(installation.audit(Path("missing.key"), None))


@pytest.fixture(scope="module")
def service(stores: MovingStores) -> Iterator[ShardedOfferlog]:
    """The service over the stores; it follows nothing, so that tests may spoil the stores."""
    with stores.stores.open(project=False) as service:
        yield service


def _audit_home(service: ShardedOfferlog) -> AuditReport:
    evidence = shards(service)[0].evidence
    assert evidence is not None
    return evidence.verify()


def test_what_was_moved_raises_no_alarm_and_is_compared(stores: MovingStores) -> None:
    """Every leaf of every shard is compared with the event, wherever it lies."""
    reports = _audit_all(stores)
    assert [report.findings for report in reports.values()] == [[]] * 3
    sealed = [stores.rows(number, "SELECT size FROM tree_progress")[0][0] for number in range(3)]
    held = [stores.rows(number, "SELECT count(*) FROM offerlog_events")[0][0] for number in range(3)]
    assert [report.events for report in reports.values()] == sealed
    assert sum(sealed) == sum(held)
    assert sealed != held


def test_a_store_alone_says_what_it_cannot_compare(stores: MovingStores, service: ShardedOfferlog) -> None:
    """And where it is; what has come back is compared."""
    gone = len(stores.rows(1, _SELECT_MOVED))
    report = _audit_home(service)
    assert report.is_whole
    first, *others = report.elsewhere
    assert first == f"{gone:,} events of slice 3 moved to shard 1: only the leaves are here"
    assert len(others) == 2
    assert "of slice 4 came from the log of shard 1: the leaves are there" in others[0]
    assert "of slice c came from the log of shard 2: the leaves are there" in others[1]
    assert report.events + gone == stores.rows(0, "SELECT size FROM tree_progress")[0][0]
    for one in shards(service)[1:]:
        assert one.evidence is not None
        assert one.evidence.verify().is_whole


def test_an_event_that_was_moved_is_proved_with_all_stores(
    stores: MovingStores, service: ShardedOfferlog, tmp_path: Path
) -> None:
    """The leaf is in one store, and the event in another. One store alone says where it is."""
    (position,) = stores.rows(1, _SELECT_MOVED)[0]
    home, other = (one.evidence for one in shards(service)[:2])
    assert home is not None
    assert other is not None
    with pytest.raises(NotSealedError, match="its event was moved to another server: to shard 1"):
        home.prove(position)
    key = tmp_path / "key"
    make_audit_key(key, "example.com/moved", SignatureType.ED25519, None)
    with OpenStore(None, stores.stores.dsns[0], keyring=run_keyring(), create=False) as store:
        joined = JoinedTree(0, {0: home.tree, 1: other.tree})
        evidence = store.evidence(SystemClock(), key, None, timedelta(), tree=joined)
        assert evidence.prove(position).index >= 0
        with pytest.raises(NotSealedError, match="the log in the tree ends before it"):
            evidence.prove((1 << 39) + 1)


@pytest.mark.parametrize(
    ("spoil", "kind", "detail"),
    [
        ("UPDATE offerlog_events SET state = state || '\\x00' WHERE", FindingKind.EDITED, "held by shard 1"),
        (
            "UPDATE offerlog_events SET originator_version = originator_version + 50 WHERE",
            FindingKind.EDITED,
            "held by shard 1",
        ),
        ("DELETE FROM offerlog_events WHERE", FindingKind.DELETED, "the event that was sealed here is gone"),
    ],
)
def test_a_moved_event_that_is_altered_or_lost_is_found(
    stores: MovingStores, spoil: str, kind: FindingKind, detail: str
) -> None:
    """By the leaf of the shard that recorded it."""
    (position,) = stores.rows(1, _SELECT_MOVED)[0]
    stores.rows(1, "CREATE TABLE kept AS SELECT * FROM offerlog_events WHERE notification_id = %s", position)
    stores.rows(1, f"{spoil} notification_id = %s", position)
    try:
        (finding,) = _audit_all(stores)[0].findings
    finally:
        stores.rows(1, "DELETE FROM offerlog_events WHERE notification_id = %s", position)
        stores.rows(1, "INSERT INTO offerlog_events SELECT * FROM kept")
        stores.rows(1, "DROP TABLE kept")
    assert (finding.kind, finding.position) == (kind, position)
    assert detail in finding.detail
    assert [report.is_whole for report in _audit_all(stores).values()] == [True] * 3


def test_an_event_that_two_stores_hold_is_found(stores: MovingStores) -> None:
    """One of the two should have been deleted."""
    (row,) = stores.rows(
        0,
        "SELECT notification_id, originator_version, originator_id, topic, state FROM offerlog_events"
        " WHERE originator_id::text LIKE '5%' AND substr(originator_id::text, 2, 9) <> '0000000-0'"
        " ORDER BY 1 LIMIT 1",
    )
    stores.rows(
        1,
        "INSERT INTO offerlog_events (notification_id, originator_version, originator_id, topic, state)"
        " VALUES (%s, %s, %s, %s, %s)",
        *row,
    )
    with Installation(None, stores.stores.dsns[0], run_keyring()) as installation:
        faults = list(installation.verify())
        reports = installation.audit(Path("missing.key"), None)
    stores.rows(1, "DELETE FROM offerlog_events WHERE notification_id = %s", row[0])
    assert faults == ["shard 1 holds events of slice 5, which it does not have: 1"]
    (finding,) = reports[0].findings
    assert finding.position == row[0]
    assert "two events stand at this position" in finding.detail
    assert "held by shards 0 and 1" in finding.detail
    # and the store itself says that it cannot have such an event
    (impossible,) = reports[1].findings
    assert (impossible.kind, impossible.position) == (FindingKind.INSERTED, row[0])


def test_an_event_that_no_shard_has_sealed_is_found(stores: MovingStores) -> None:
    """A move waits for the tree, so no foreign event is behind it."""
    position = 1 << 39
    stores.rows(
        1,
        "INSERT INTO offerlog_events (notification_id, originator_version, originator_id, topic, state)"
        " VALUES (%s, 1, '30000000-1000-8000-8000-000000000000', 'x', '')",
        position,
    )
    (finding,) = _audit_all(stores)[0].findings
    stores.rows(1, "DELETE FROM offerlog_events WHERE notification_id = %s", position)
    assert (finding.kind, finding.position) == (FindingKind.INSERTED, position)


def test_a_lost_event_is_not_taken_for_a_moved_one(stores: MovingStores, service: ShardedOfferlog) -> None:
    """Within the positions of those that were moved, the numbers say so; behind them, the event is named."""
    positions = stores.rows(
        0,
        "SELECT notification_id FROM offerlog_events"
        " WHERE originator_id::text LIKE '5%' AND substr(originator_id::text, 2, 9) <> '0000000-0'"
        " AND notification_id < 1 << 30 ORDER BY 1",
    )
    ((first, last),) = stores.rows(0, "SELECT first_position, last_position FROM moved_events")
    stores.rows(0, "CREATE TABLE kept AS SELECT * FROM offerlog_events WHERE originator_id::text LIKE '5%'")
    for (position,) in (positions[0], positions[-1]):
        stores.rows(0, "DELETE FROM offerlog_events WHERE notification_id = %s", position)
        (finding,) = _audit_home(service).findings
        stores.rows(0, "INSERT INTO offerlog_events SELECT * FROM kept WHERE notification_id = %s", position)
        is_within = first <= position <= last
        assert finding.kind is FindingKind.DELETED
        assert ("1 are lost" in finding.detail) == is_within
        assert is_within or finding.position == position
    stores.rows(0, "DROP TABLE kept")
    assert _audit_home(service).is_whole
    # and what was noted of a move cannot hide one
    stores.rows(0, "UPDATE moved_events SET digest = digest + 1")
    (finding,) = _audit_home(service).findings
    assert "they are not the ones that were moved" in finding.detail
    stores.rows(0, "UPDATE moved_events SET digest = digest - 1, events = events + 1")
    (finding,) = _audit_home(service).findings
    assert finding.kind is FindingKind.INSERTED
    stores.rows(0, "UPDATE moved_events SET events = events - 1")


def test_a_tree_without_the_leaves_of_moved_events_is_not_made_anew(
    stores: MovingStores, service: ShardedOfferlog
) -> None:
    """It would be another one, as its tables alone have these leaves."""
    application = application_of(shards(service)[0])
    with application.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("TRUNCATE tree_tiles; UPDATE tree_progress SET position = 0, size = 0")
        sealer = TreeSealer(LOCK_SPACE, application.archived_files)
        with pytest.raises(TreeDamagedError, match="were moved to other servers"):
            sealer.seal(connection, shards(service)[0]._log.last())
        connection.execute("ROLLBACK")
    assert _audit_home(service).is_whole
    del stores


def test_nothing_is_compared_while_a_slice_is_on_its_way(stores: MovingStores) -> None:
    """Its events would be twice there."""
    stores.rows(0, "INSERT INTO leaving_slices VALUES (3, 1, 9)")
    try:
        with (
            Installation(None, stores.stores.dsns[0], run_keyring()) as installation,
            pytest.raises(ShardError, match=r"slices are on their way \(3\)"),
        ):
            installation.audit(Path("missing.key"), None)
    finally:
        stores.rows(0, "DELETE FROM leaving_slices")


@pytest.fixture(scope="module")
def sealed(
    stores: MovingStores, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ShardedOfferlog, Path]]:
    """A service whose servers sign, each with a key of its own, and the key of the home."""
    key = tmp_path_factory.mktemp("keys") / "audit.key"
    for number in range(3):
        make_audit_key(place_of_shard(key, number), f"shop/{number}", SignatureType.ED25519, None)
    with stores.stores.open(project=False, audit_key=key) as service:
        yield service, key


def _evidence(service: ShardedOfferlog) -> Evidence:
    assert service.evidence is not None
    return service.evidence


def test_a_bundle_holds_every_log_and_says_which_belong_together(
    sealed: tuple[ShardedOfferlog, Path],
    stores: MovingStores,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The file alone checks it; a log that was left out, or is there twice, is found."""
    service, key = sealed
    (moved,) = stores.rows(1, _SELECT_MOVED)[0]
    evidence = _evidence(service)
    olds = [one.checkpoint() for one in evidence.of_servers().values()]
    old = tmp_path / "old"
    old.write_text(str(olds[1]))
    request = BundleRequest(ReportQuery("default"), proved=(moved,))
    made = write_bundle(evidence, request, tmp_path / "bundle").contents
    assert (made.logs, made.events) == (3, sum(one.checkpoint.size for one in olds))
    words = [*key_options(key, (0, 1, 2)), "--checkpoint", str(old)]
    # when
    code = alone.main([str(tmp_path / "bundle"), *words])
    # then
    out = capsys.readouterr().out
    assert code == 0, out
    assert "ok      these are the 3 logs that belong together" in out
    assert f"ok      log-0/proofs/{moved}.tlog-proof leads to the root" in out
    assert "ok      each stream is whole" in out
    claimed = json.loads((tmp_path / "bundle" / "report.json").read_text())["reports"][1]["rows"]
    query = ReportQuery("default", count_by=CountBy.VISITORS, view=MetricSet.FULL)
    counted = {str(row.action_map_id): row.metrics for row in service.report(query).rows}
    assert {one["action_map_id"] for one in claimed} == counted.keys()
    for one in claimed:
        found = {name: count for name, count in one["metrics"].items() if count}
        assert found == {name: count for name, count in counted[one["action_map_id"]].items() if count}
    # and what is hidden is counted log by log
    write_bundle(evidence, BundleRequest(ReportQuery("nobody")), tmp_path / "hidden")
    assert alone.main([str(tmp_path / "hidden"), *key_options(key, (0, 1, 2))]) == 0
    lines = re.findall(r"([\d,]+) events, as of position .* hidden: ([\d,]+);", capsys.readouterr().out)
    assert [hidden for hidden, _ in lines] == [hidden for _, hidden in lines]
    assert len(lines) == 3
    # and when the operator leaves out a log, shows one twice, or has not said so with all keys
    for logs, keys, expected in (
        ((0, 1), (0, 1, 2), "the log of the key shop/2 is not in the bundle"),
        ((0, 1), (0, 1), "events are in no log, or hidden"),
        ((0, 1, 2, 2), (0, 1, 2), "no given key of shop/2 has signed it, or the log is there twice"),
        ((0, 1, 2), (0, 1), "no given key has signed the checkpoint of"),
        ((1, 0, 2), (0, 1, 2), "its position is not one of log 0"),
    ):
        forged = tmp_path / f"{logs}{keys}"
        forge_logs(tmp_path / "bundle", forged, key, logs)
        assert alone.main([str(forged), *key_options(key, keys)]) == 1
        out = capsys.readouterr().out
        assert "ok      every file is the one" in out
        assert expected in out
    shutil.copy(tmp_path / "(0, 1)(0, 1)" / "servers", tmp_path / "bundle")
    assert alone.main([str(tmp_path / "bundle"), *words]) == 1
    assert "no bundle has a file of this name" in capsys.readouterr().out


def test_each_tree_proves_what_its_server_has_recorded(
    sealed: tuple[ShardedOfferlog, Path], stores: MovingStores
) -> None:
    """Also what lies on another one by now. What one tree can do alone is asked of one."""
    evidence = _evidence(sealed[0])
    (moved,) = stores.rows(1, _SELECT_MOVED)[0]
    assert evidence.prove(moved).signed.checkpoint.origin == "shop/0"
    ((own,),) = stores.rows(
        1, "SELECT max(notification_id) FROM offerlog_events WHERE notification_id < 2::bigint << 40"
    )
    assert evidence.prove(own).signed.checkpoint.origin == "shop/1"
    with pytest.raises(NotSealedError, match="no server has this number"):
        evidence.prove(7 << 40)
    home = shards(sealed[0])[0].evidence
    assert home is not None
    with pytest.raises(NotOverShardsError, match="to export a bundle of one of them alone"):
        write_bundle(home, BundleRequest(ReportQuery("default")), Path("never"))
    stores.rows(0, "DELETE FROM checkpoints WHERE origin = 'example.com/moved'")  # of another test's key
    with evidence.settled() as logs:
        assert all(one.verify().is_whole for one in logs.values())


def test_work_on_all_events_is_in_vain_if_a_slice_moves_meanwhile(
    sealed: tuple[ShardedOfferlog, Path], stores: MovingStores
) -> None:
    """And its errors may be due to that."""
    move, error = "UPDATE slices SET epoch = epoch + 1 WHERE slice = 9", ProofError("not there")

    def work(statement: str, error: Exception | None) -> None:
        with _evidence(sealed[0]).settled():
            stores.rows(1, statement)
            if error is not None:
                raise error

    with pytest.raises(SliceInMotionError):
        work(move, None)
    with pytest.raises(SliceInMotionError):
        work(move, error)
    with pytest.raises(ProofError):
        work("SELECT 1", error)


def test_a_visitor_who_is_erased_behind_a_move_is_blanked_and_every_proof_holds(
    stores: MovingStores,
) -> None:
    """In both directions: positions of the erasure and of the events are those of different shards."""
    with stores.stores.open() as service:
        for slice_ in (GONE, 12, BACK):
            service.erase(customer_id=f"visitor-{next(visitors_of(service, slice_))}")
        settle(service)
        for one in shards(service):
            assert one.evidence is not None
            assert one.evidence.verify().findings == []
    assert [report.findings for report in _audit_all(stores).values()] == [[]] * 3
