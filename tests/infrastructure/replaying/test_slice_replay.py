"""Slices replayed one by one add up to the live projections, whatever the log holds."""

import json
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.slices import SliceBounds
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.replaying.errors import ManifestError, OtherCodeError, SliceChangedError
from offerlog_infrastructure.replaying.manifest import (
    load_manifest,
    save_manifest,
)
from offerlog_infrastructure.replaying.on_dask import ComparedReplay, replay_on_dask
from offerlog_infrastructure.replaying.slice_files import read_slice, write_slice
from offerlog_infrastructure.replaying.slice_replay import replay_slice
from support.journeys import journeys
from support.replays import replay_in_this_process

pytest.importorskip("pyarrow")


@pytest.fixture(autouse=True)
def _without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay the slices in this process. The tests of the command have Dask do it."""
    replay_in_this_process(monkeypatch)


def _ignore(_: RebuildProgress) -> None:
    """Nobody looks at the progress."""


def replay(offerlog: Offerlog, folder: Path) -> ComparedReplay:
    """Replay the whole log into a folder."""
    assert offerlog.slices is not None
    return replay_on_dask(offerlog.slices, folder, None, _ignore)


def change(dsn: str, statement: str) -> None:
    """Change one row behind the service's back."""
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}", autocommit=True) as connection:
        assert connection.execute(statement.encode()).rowcount == 1


def differences(done: ComparedReplay) -> dict[str, list[str]]:
    """The parts of each projection that differ."""
    return {one.name: one.differences for one in done.projections if one.differences}


def test_the_slices_add_up_to_the_live_projections(offerlog: Offerlog, tmp_path: Path) -> None:
    """Parked signals, errors, repeats and an erased visitor among them; later events do not matter."""
    # given
    lines = journeys(350)
    offerlog.record(lines)
    visitor = json.loads(lines[0])
    offerlog.erase(
        customer_id=visitor["customerId"], customer_id_type=visitor.get("customerIdType", "cookie")
    )
    offerlog.catch_up()
    assert offerlog.slices is not None
    live = offerlog.slices.all()[0].live()
    # when
    done = replay(offerlog, tmp_path)
    # then
    assert differences(done) == {}
    assert done.is_equal
    for one in done.projections:
        assert one.replayed.events == live.contents[one.name].events > 1_000
        assert one.replayed.tables == live.contents[one.name].tables
        assert all(found.total for found in one.replayed.tables.values())
    # and the files hold the exact bytes, whole visitors each
    rows = [row for file in tmp_path.rglob("*.parquet") for page in read_slice(file) for row in page]
    everything = SliceBounds(UUID(int=0), UUID(int=(1 << 128) - 1))
    stored = [
        row
        for page in offerlog.slices.all()[0].read(everything, max(live.positions.values()))
        for row in page
    ]
    assert sorted(rows) == sorted(stored)
    # when more was recorded, the same folder still gives the same
    offerlog.record(journeys(3))
    assert replay(offerlog, tmp_path).projections == done.projections


_FIRST = "notification_id = (SELECT min(notification_id) FROM offerlog_events WHERE topic LIKE '{}.%')"
_ANY = "ctid = (SELECT min(ctid) FROM {})"
_REPLACED = "UPDATE offerlog_events SET topic = replace(topic, 'accepted.', 'rejected.') WHERE "
_UNKNOWN = "UPDATE offerlog_events SET topic = 'unknown.9' WHERE "
_DELETED = "DELETE FROM offerlog_events WHERE "
_SUPPRESSED = "UPDATE suppressions SET version = version + 1 WHERE "
_MOVED = "UPDATE current_actions SET since = since + interval '1 us' WHERE "
_COUNTED = "UPDATE performance_days SET offered = offered + 1 WHERE "


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (_REPLACED + _FIRST.format("accepted"), ("performance", "performance_counts")),
        (_DELETED + _FIRST.format("ignored"), ("suppression", "events")),
        (_SUPPRESSED + _ANY.format("suppressions"), ("suppression", "suppressions")),
        (_MOVED + _ANY.format("current_actions"), ("current_state", "current_actions")),
        (_COUNTED + _ANY.format("performance_days"), ("performance", "performance_days")),
    ],
)
def test_what_was_changed_is_found(
    offerlog: Offerlog, dsn: str, tmp_path: Path, statement: str, expected: tuple[str, str]
) -> None:
    """In the log or in a table, one event, row or count."""
    offerlog.wait(offerlog.record(journeys(60)).position)
    change(dsn, statement)
    found = differences(replay(offerlog, tmp_path))
    name, part = expected
    assert part in found[name]


def test_a_dead_letter_is_left_out_and_another_unreadable_event_is_named(
    offerlog: Offerlog, dsn: str, tmp_path: Path
) -> None:
    """The projections have left it out too; an event that became unreadable later is a fault."""
    # given
    offerlog.wait(offerlog.record(journeys(20)).position)
    change(
        dsn,
        "INSERT INTO offerlog_events (originator_id, originator_version, topic, state)"
        " VALUES (gen_random_uuid(), 1, 'unknown.9', '')",
    )
    offerlog.catch_up()
    assert len(offerlog.dead_letters()) == 3
    # when, then
    assert replay(offerlog, tmp_path / "first").is_equal
    change(dsn, _UNKNOWN + _FIRST.format("offered"))
    done = replay(offerlog, tmp_path / "second")
    assert not done.is_equal
    assert len(done.total.unreadable) == 1


def test_a_folder_of_something_else_is_refused(offerlog: Offerlog, tmp_path: Path) -> None:
    """Another store, another version, a file that was changed, a manifest that is none."""
    offerlog.wait(offerlog.record(journeys(5)).position)
    replay(offerlog, tmp_path)
    manifest = load_manifest(tmp_path)
    assert manifest is not None
    # a file that was changed before it was replayed
    one = manifest.slices[3]
    one.result = None
    save_manifest(tmp_path, manifest)
    file = tmp_path / one.file
    kept = file.read_bytes()
    file.write_bytes(kept + b"x")
    with pytest.raises(SliceChangedError, match="has changed since it was written: remove it"):
        replay(offerlog, tmp_path)
    # a worker with another version
    task = type(manifest.task)(manifest.task.positions, {}, "another version")
    write_slice(tmp_path / "other.parquet", task, [])
    with pytest.raises(OtherCodeError, match="install the same version on all workers"):
        replay_slice(str(tmp_path / "other.parquet"))
    # another version here
    code, manifest.task = manifest.task, task
    save_manifest(tmp_path, manifest)
    with pytest.raises(ManifestError, match="by another version of offerlog"):
        replay(offerlog, tmp_path)
    # another store
    manifest.task, manifest.store = code, "elsewhere/1"
    save_manifest(tmp_path, manifest)
    with pytest.raises(ManifestError, match="of another store"):
        replay(offerlog, tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ManifestError, match="its manifest cannot be read"):
        replay(offerlog, tmp_path)
