"""The sealer: the tables hold the tree of the log, page by page, whoever is killed."""

import itertools
import random
import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from offerlog_application.offerlog import Offerlog
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.leaves import hash_events
from offerlog_domain.transparency.notes import SignatureType
from offerlog_domain.transparency.proofs import root_hash
from offerlog_domain.transparency.tiles import list_tiles, unpack_positions
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.evidence.audit_key import make_audit_key
from offerlog_infrastructure.evidence.signing_keys import check_signature
from offerlog_infrastructure.postgres.archive.archived_files import ArchivedFiles
from offerlog_infrastructure.postgres.projections.projector import PostgresProjector
from offerlog_infrastructure.postgres.tree import sealer
from offerlog_infrastructure.postgres.tree.sealer import TreeSealer
from support.journeys import journeys
from support.preloaded import preloaded_code
from support.processes import LimitedProcess
from support.recount import rows, until

LOG = """
    SELECT notification_id, uuid_send(originator_id), originator_version, topic, state FROM offerlog_events
    ORDER BY 1
"""

PROJECTOR = """
import sys
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.evidence.audit_key import make_audit_key
from offerlog_infrastructure.evidence.signing_keys import check_signature
from offerlog_infrastructure.postgres.projections.projector import PostgresProjector
from offerlog_infrastructure.postgres.tree import sealer
sealer.PAGE, sealer.SEAL_SECONDS = 300, 0.0
print("here", flush=True)
sys.stdin.readline()
with open_offerlog(database_url=sys.argv[1], keep_deadlines=False):
    sys.stdin.read()
"""


def sealed(dsn: str) -> int:
    """How many events are in the tree."""
    ((size,),) = rows(dsn, "SELECT size FROM tree_progress")
    assert isinstance(size, int)
    return size


def check_tree(dsn: str) -> None:
    """The tables hold the tree of all events, and their positions."""
    log = rows(dsn, LOG)
    tree = GrowingTree()
    tiles = {(tile.level, tile.n): hashes for tile, hashes in tree.append(hash_events(log)).items()}
    stored = rows(dsn, "SELECT level::int, n, hashes, first_position, last_position, gaps FROM tree_tiles")
    assert {(level, n): hashes for level, n, hashes, *_ in stored} == tiles
    assert rows(dsn, "SELECT position, size FROM tree_progress") == [(log[-1][0], len(log))]
    assert root_hash(len(log), lambda *place: tiles[place]) == tree.root()
    assert len(tiles) == len(list(list_tiles(len(log))))
    leaves = sorted((n, hashes, *ends) for level, n, hashes, *ends in stored if level == 0)
    positions = [unpack_positions(first, len(hashes) // 32, gaps) for _, hashes, first, _, gaps in leaves]
    assert list(itertools.chain(*positions)) == [position for position, *_ in log]
    assert [last for *_, last, _ in leaves] == [some[-1] for some in positions]


def test_the_tree_is_that_of_the_log(offerlog: Offerlog, dsn: str) -> None:
    """Also over gaps, of which appends that were given up leave some."""
    for start in range(3):
        offerlog.record(journeys(100)[start::3])
        rows(dsn, "SELECT nextval('log_positions') FROM generate_series(1, %s)", 200 * start + 1)
    until(lambda: sealed(dsn) == rows(dsn, "SELECT count(*) FROM offerlog_events")[0][0])
    check_tree(dsn)
    assert rows(dsn, "SELECT count(*) FROM tree_tiles WHERE gaps IS NOT NULL") != [(0,)]


def test_an_idle_store_is_not_written_to(offerlog: Offerlog, dsn: str) -> None:
    """The sealer asks whether there is something new before it locks a row."""
    offerlog.record(journeys(5))
    until(lambda: sealed(dsn))
    offerlog.catch_up()
    before = rows(dsn, "SELECT xmin::text, xmax::text FROM tree_progress")
    time.sleep(3 * sealer.SEAL_SECONDS)
    assert rows(dsn, "SELECT xmin::text, xmax::text FROM tree_progress") == before


def test_a_process_that_is_killed_leaves_a_tree_that_the_next_one_continues(dsn: str) -> None:
    """Two processes one after the other, each killed soon after it has begun; pages end within tiles."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        service.record(journeys(900))
    chance, reached = random.Random(5), [0]  # noqa: S311 - chance in a test
    for _ in range(2):
        process = LimitedProcess(
            [*preloaded_code(PROJECTOR), dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            until(lambda: sealed(dsn) > reached[-1])
            time.sleep(chance.uniform(0, 0.1))
        finally:
            process.kill()
            process.communicate(timeout=60)
        reached.append(sealed(dsn))
    ((events,),) = rows(dsn, "SELECT count(*) FROM offerlog_events")
    assert reached[1] < events
    with open_offerlog(database_url=dsn, keep_deadlines=False):
        until(lambda: sealed(dsn) == events)
    check_tree(dsn)


def test_one_process_seals_at_a_time(offerlog: Offerlog, dsn: str) -> None:
    """The second one leaves the tree alone while the first one lives."""
    offerlog.record(journeys(5))
    until(lambda: sealed(dsn))
    second = TreeSealer(0x6F66_6C67, ArchivedFiles())
    with closing(
        psycopg.connect(dsn, autocommit=True, row_factory=dict_row, options=f"-c search_path={SCHEMA}")
    ) as other:
        before = rows(dsn, "TABLE tree_progress")
        second.seal(other, 1_000)
        assert second._is_mine is False
        assert rows(dsn, "TABLE tree_progress") == before


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM tree_tiles", "UPDATE tree_progress SET size = 1", "DELETE FROM tree_progress"],
)
def test_a_damaged_tree_does_not_stop_the_projections(
    dsn: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and an audit says where it is."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        service.record(journeys(10))
        until(lambda: sealed(dsn))
        service.catch_up()
    rows(dsn, damage)
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        service.wait(service.record(journeys(20)).position)
        until(lambda: "the tree over the log could not be continued" in caplog.text)


def test_projections_that_are_far_behind_do_not_delay_the_tree(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two pages of theirs, a page is sealed."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        service.record(journeys(20))
    monkeypatch.setattr(PostgresProjector, "_apply_next_page", lambda *_: True)  # there is always one more
    with open_offerlog(database_url=dsn, keep_deadlines=False):
        until(lambda: sealed(dsn))


def test_a_service_signs_by_itself_once_there_is_a_key(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every few minutes, here more often; also with a key that is made while it runs."""
    monkeypatch.setenv("OFFERLOG_CHECKPOINT_PERIOD", "0.1")
    key, outside = tmp_path / "audit.key", tmp_path / "outside"
    with open_offerlog(database_url=dsn, audit_key=key, checkpoints=outside) as service:
        service.record(journeys(5))
        until(lambda: sealed(dsn))
        assert rows(dsn, "SELECT count(*) FROM checkpoints") == [(0,)]
        public = make_audit_key(key, "example.com/offers", SignatureType.MLDSA44, None)
        until((outside / "checkpoint").exists)
        until(lambda: rows(dsn, "SELECT count(*) FROM checkpoints") != [(0,)])
    signed = SignedCheckpoint.parse((outside / "checkpoint").read_text())
    assert (signed.checkpoint.origin, signed.checkpoint.size) == ("example.com/offers", sealed(dsn))
    assert check_signature(signed, public) is not None


def test_a_locked_tree_does_not_hold_up_the_projections(offerlog: Offerlog, dsn: str) -> None:
    """Whatever somebody does with its tables; afterwards it goes on."""
    offerlog.record(journeys(5))
    until(lambda: sealed(dsn))
    before = sealed(dsn)
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as other:
        other.execute("LOCK TABLE tree_tiles IN ACCESS EXCLUSIVE MODE")
        receipt = offerlog.record(journeys(10))
        time.sleep(2 * sealer.SEAL_SECONDS)
        offerlog.wait(receipt.position, timeout=10)
        assert sealed(dsn) == before
    until(lambda: sealed(dsn) > before)
    check_tree(dsn)
