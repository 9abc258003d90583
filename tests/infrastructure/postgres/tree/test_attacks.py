"""Changes of a log behind offerlog's back, in SQL by the owner of the tables: each is found and named."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from psycopg.errors import UniqueViolation
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey

from offerlog_application.evidence import verification
from offerlog_application.evidence.findings import AuditReport, FindingKind
from offerlog_application.ports.sealed_tree import ForkError
from offerlog_domain.stream_ids import make_visitor_stream_id, token_of
from offerlog_domain.transparency.leaves import blank_sealed, split_state
from offerlog_domain.transparency.tiles import Tile
from support.attacked_log import FLIP, UNUSED, AttackedLog
from support.journeys import journeys
from support.recount import rows

_SELECT_NOT_LAST = """
    SELECT e.notification_id, e.originator_id::text
    FROM offerlog_events e JOIN offerlog_events l USING (originator_id)
    WHERE e.notification_id >= %s AND l.originator_version > e.originator_version ORDER BY 1 LIMIT 1
"""
_INSERT_COPY = """
    INSERT INTO offerlog_events (notification_id, originator_id, originator_version, topic, state)
    SELECT %s, originator_id, 77, topic, state FROM offerlog_events WHERE notification_id = %s
"""
AT = 300
OTHER = 310


@pytest.fixture(scope="module")
def sealed_log(module_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedLog]:
    """A log that nobody has changed yet."""
    with closing(AttackedLog(module_dsn, tmp_path_factory.mktemp("attacked"))) as log:
        yield log


@pytest.fixture
def log(sealed_log: AttackedLog) -> Iterator[AttackedLog]:
    """The same, put back after the test."""
    yield sealed_log
    sealed_log.restore()


def stream_at(log: AttackedLog, position: int) -> str:
    """The stream of the event at a position."""
    ((stream,),) = rows(
        log.dsn, "SELECT originator_id::text FROM offerlog_events WHERE notification_id = %s", position
    )
    assert isinstance(stream, str)
    return stream


def found(report: AuditReport) -> list[tuple[str, int | None, str | None]]:
    """Kind, position and tile of each finding."""
    return [(one.kind.value, one.position, one.tile) for one in report.findings]


def test_nothing_is_found_in_a_log_that_nobody_has_changed(log: AttackedLog) -> None:
    """All of it is signed, inside and outside, also where positions were given up."""
    report = log.verify()
    assert (report.is_whole, report.findings) == (True, [])
    assert (report.events, report.signed, report.unsealed) == (log.size, log.size, 0)
    assert (report.checkpoints, report.outside, report.signatures_checked) == (4, 2, True)


def blank(log: AttackedLog, position: int) -> None:
    """Put its hash in place of a sealed part."""
    ((state,),) = rows(log.dsn, "SELECT state FROM offerlog_events WHERE notification_id = %s", position)
    parts = split_state(state)
    assert parts is not None
    public, sealed = parts
    blanked = b"\x92" + public + b"\xc4\x21" + blank_sealed(sealed)
    rows(log.dsn, "UPDATE offerlog_events SET state = %s WHERE notification_id = %s", blanked, position)


def state_erasure(log: AttackedLog, of: int, at: int) -> None:
    """Append the event that says that the visitor of an event was erased."""
    own = make_visitor_stream_id(token_of(UUID(stream_at(log, of))))
    columns = "notification_id, originator_id, originator_version, topic, state"
    values = "SELECT %s, %s, 1, 'visitor-erased.2', '\\x00'::bytea"
    rows(log.dsn, f"INSERT INTO offerlog_events ({columns}) {values}", at, own)


def test_an_erased_sealed_part_changes_nothing(log: AttackedLog) -> None:
    """Its hash stays in its place, and the log states the erasure."""
    for position in range(AT, AT + 5):
        blank(log, position)
        ((at,),) = rows(log.dsn, "SELECT nextval('log_positions')")
        with contextlib.suppress(UniqueViolation):  # the visitor of an event before
            state_erasure(log, position, at)
    assert log.verify().is_whole


def test_an_event_that_is_blanked_without_an_erasure_is_named(log: AttackedLog) -> None:
    """Also if the log states an erasure of another visitor, or has stated one before it."""
    blank(log, AT)
    blank(log, OTHER)
    log.allow_any_position()
    state_erasure(log, OTHER, -5)
    report = log.verify()
    named = [one for one in report.findings if one.kind is FindingKind.BLANKED]
    assert [one.position for one in named] == [AT, OTHER]
    assert [one.stream for one in named] == [stream_at(log, AT), stream_at(log, OTHER)]
    assert "blanked without an erasure" in str(named[0])


@pytest.mark.parametrize(
    "change",
    [
        f"state = {FLIP.format(at=4)}",  # the public part
        f"state = {FLIP.format(at='octet_length(state) - 1')}",  # the sealed part
        "state = state || '\\x00'::bytea",
        "topic = 'engaged.9'",
        "topic = topic || ' '",
        "topic = topic || repeat('x', 65536)",  # longer than an entry can say
        "state = 'no array'::bytea",
        "state = ''::bytea",
        "originator_version = -1",
        "originator_version = originator_version + 50",
        "originator_id = gen_random_uuid()",
    ],
)
def test_an_edited_event_is_named(log: AttackedLog, change: str) -> None:
    """With its position, its stream as it is now, and the tile."""
    log.edit(change, AT)
    report = log.verify()
    assert found(report) == [("edited", AT, "tile/0/001")]
    assert report.findings[0].stream == stream_at(log, AT)


def test_an_event_that_is_deleted_in_the_middle_is_named(log: AttackedLog) -> None:
    """With its stream, whose versions show the hole; no later event looks wrong."""
    ((at, stream),) = rows(log.dsn, _SELECT_NOT_LAST, AT)
    log.delete(f"= {at}")
    report = log.verify()
    assert found(report) == [("deleted", at, "tile/0/001")]
    assert report.findings[0].stream == stream


def test_events_that_are_deleted_over_the_end_of_a_tile_are_named(log: AttackedLog) -> None:
    """Each by itself."""
    log.delete("BETWEEN 255 AND 258")
    named = [("deleted", at, "tile/0/000" if at <= 256 else "tile/0/001") for at in range(255, 259)]
    assert found(log.verify()) == named


def test_a_log_that_is_cut_at_its_end_is_truncated(log: AttackedLog) -> None:
    """One finding, with the number of events."""
    ((last,),) = rows(log.dsn, "SELECT max(notification_id) FROM offerlog_events")
    log.delete(f"> {last - 3}")
    report = log.verify()
    assert found(report) == [("truncated", last - 2, "tile/0/003")]
    assert "the last 3 events" in report.findings[0].detail


def test_an_event_at_a_position_that_had_none_was_inserted(log: AttackedLog) -> None:
    """Positions that were given up cannot be used later."""
    rows(log.dsn, _INSERT_COPY, UNUSED, AT)
    report = log.verify()
    assert found(report) == [("inserted", UNUSED, "tile/0/001")]
    assert (report.findings[0].stream, report.findings[0].version) == (stream_at(log, AT), 77)


def test_two_events_that_change_places_are_reordered(log: AttackedLog) -> None:
    """Both are named, each with the other's position."""
    for before, after in ((AT, UNUSED), (OTHER, AT), (UNUSED, OTHER)):
        log.edit(f"notification_id = {after}", before)
    report = log.verify()
    assert found(report) == [("reordered", AT, "tile/0/001"), ("reordered", OTHER, "tile/0/001")]
    assert str(OTHER) in report.findings[0].detail


def test_an_event_that_gets_another_position_is_reordered(log: AttackedLog) -> None:
    """Where it stood, nothing else is reported."""
    log.edit(f"notification_id = {UNUSED}", AT)
    assert found(log.verify()) == [("reordered", UNUSED, "tile/0/001")]


def test_an_event_that_another_one_was_moved_over_is_named(log: AttackedLog) -> None:
    """The move does not hide what stood there."""
    log.delete(f"= {AT}")
    log.edit(f"notification_id = {AT}", OTHER)
    assert {*found(log.verify())} == {("reordered", AT, "tile/0/001"), ("deleted", AT, "tile/0/001")}


EDIT_HASH = "UPDATE tree_tiles SET hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1)"


@pytest.mark.parametrize(
    ("statement", "tile"),
    [
        (f"{EDIT_HASH} WHERE level = 0 AND n = 1", "tile/0/001"),
        (f"{EDIT_HASH} WHERE level = 0 AND n = 3", "tile/0/003"),  # partial: only a checkpoint speaks for it
        (f"{EDIT_HASH} WHERE level = 1", "tile/1/000"),
        ("UPDATE tree_tiles SET hashes = substr(hashes, 1, 64) WHERE level = 0 AND n = 1", "tile/0/001"),
        ("DELETE FROM tree_tiles WHERE level = 0 AND n = 1", "tile/0/001"),
        ("DELETE FROM tree_tiles WHERE level = 1", "tile/1/000"),
        ("UPDATE tree_tiles SET first_position = 1 WHERE level = 0 AND n = 1", "tile/0/001"),
        ("UPDATE tree_tiles SET last_position = 10000 WHERE level = 0 AND n = 1", "tile/0/001"),
        ("UPDATE tree_tiles SET gaps = '\\x01' WHERE level = 0 AND n = 0", "tile/0/000"),
        ("UPDATE tree_tiles SET gaps = NULL WHERE level = 0 AND gaps IS NOT NULL", "tile/0/001"),
        ("UPDATE tree_progress SET size = 300", "tile/0/002"),
        ("UPDATE tree_progress SET size = size - 1", "tile/0/003"),
        ("UPDATE tree_progress SET position = position - 1", "tile/0/003"),
    ],
)
def test_a_changed_tree_is_told_from_a_changed_log(log: AttackedLog, statement: str, tile: str) -> None:
    """The events are right, and the tile is named."""
    log.attack(statement)
    report = log.verify()
    kinds = {one.kind for one in report.findings}
    assert FindingKind.TILE in kinds
    assert not kinds & {FindingKind.EDITED, FindingKind.DELETED, FindingKind.INSERTED, FindingKind.REORDERED}
    assert any((one.tile or "").startswith(tile) for one in report.findings)


def test_an_event_that_is_changed_together_with_its_leaf_is_found(log: AttackedLog) -> None:
    """By the tile above, and exactly by the tiles outside."""
    log.edit_with_leaf(AT)
    report = log.verify()
    assert ("tile", None, "tile/1/000.p/3") in found(report)
    assert ("rewritten", AT, "tile/0/001") in found(report)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE checkpoints SET note = replace(note, E'\\n', ' ')",
        "UPDATE checkpoints SET note = overlay(note PLACING '9' FROM 20 FOR 1)",
        "UPDATE checkpoints SET note = replace(note, '\u2014 example.com', '\u2014 other.example')",
    ],
)
def test_a_changed_checkpoint_is_named(log: AttackedLog, statement: str) -> None:
    """The log itself is as it was signed: the checkpoints outside show it."""
    log.attack(statement)
    report = log.verify()
    assert {one.kind for one in report.findings} == {FindingKind.CHECKPOINT}
    assert "the table checkpoints" in report.findings[0].detail
    assert ("give --vkey for other.example" in report.findings[0].detail) == ("other.example" in statement)
    assert report.signed == log.size


def test_deleted_checkpoints_are_no_loss_while_there_are_some_outside(log: AttackedLog) -> None:
    """The number of those that were compared is told."""
    log.attack("DELETE FROM checkpoints")
    report = log.verify()
    assert (report.is_whole, report.checkpoints, report.outside) == (True, 2, 2)


def test_a_changed_file_outside_is_named(log: AttackedLog) -> None:
    """By its path."""
    file = log.outside / "checkpoints" / f"{log.size:015d}"
    file.write_text(file.read_text().replace(f"\n{log.size}\n", f"\n{log.size + 1}\n"))
    report = log.verify()
    assert [one.kind for one in report.findings] == [FindingKind.CHECKPOINT]
    assert str(file) in report.findings[0].detail


def test_a_changed_newest_checkpoint_outside_is_named(log: AttackedLog) -> None:
    """The file `checkpoint` is the one that auditors are asked to keep."""
    file = log.outside / "checkpoint"
    file.write_text(file.read_text().replace(f"\n{log.size}\n", f"\n{log.size + 1}\n"))
    report = log.verify()
    assert [one.kind for one in report.findings] == [FindingKind.CHECKPOINT]
    assert str(file) in report.findings[0].detail


@pytest.mark.parametrize("tile", ["tile/0/000", "tile/0/003.p/*", "tile/1/000.p/*"])
@pytest.mark.parametrize("spoil", [lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: data + b"x"])
def test_a_changed_tile_outside_is_named(
    log: AttackedLog, tile: str, spoil: Callable[[bytes], bytes]
) -> None:
    """By its file. Nothing else is wrong."""
    file = max(log.outside.glob(tile))
    file.write_bytes(spoil(file.read_bytes()))
    report = log.verify()
    assert [one.kind for one in report.findings] == [FindingKind.TILE]
    assert str(file) in report.findings[0].detail


@pytest.mark.parametrize("position", [-(2**63), -1, 0, 9 * 10**18])
def test_an_event_at_a_position_that_the_log_never_gave_was_inserted(log: AttackedLog, position: int) -> None:
    """It is never sealed, so no tile shows it."""
    if position < 1:
        log.allow_any_position()
    rows(log.dsn, _INSERT_COPY, position, AT)
    report = log.verify()
    assert found(report) == [("inserted", position, None)]
    assert report.findings[0].stream == stream_at(log, AT)


@pytest.mark.parametrize(
    "name", ["checkpoint", "2026-11-26.checkpoint", "checkpoints/2026-11-26.txt", "2026/11/26"]
)
def test_a_rewritten_log_is_found_with_a_single_kept_checkpoint(
    log: AttackedLog, tmp_path: Path, name: str
) -> None:
    """Whatever the auditor calls it; as a folder, and as the file itself."""
    kept = tmp_path / "kept" / name
    kept.parent.mkdir(parents=True)
    shutil.copy(log.outside / "checkpoint", kept)
    (tmp_path / "kept" / "notes.txt").write_text("not a checkpoint")
    log.edit(f"state = {FLIP.format(at=4)}", AT)
    log.seal_anew()
    for place in (tmp_path / "kept", kept):
        report = log.verify(place)
        assert [one.kind for one in report.findings] == [FindingKind.REWRITTEN]
        assert str(kept) in report.findings[0].detail


def test_an_operator_who_signs_a_changed_log_anew_is_caught_by_what_is_kept_outside(
    log: AttackedLog, tmp_path: Path
) -> None:
    """Nothing inside shows it. A checkpoint outside shows it; the tiles outside name the event."""
    auditor = tmp_path / "auditor"
    shutil.copytree(log.outside, auditor)
    log.edit(f"state = {FLIP.format(at=4)}", AT)
    log.seal_anew()
    with pytest.raises(ForkError):
        log.checkpoint()  # the folder has the earlier one
    shutil.rmtree(log.outside)
    log.checkpoint()
    assert log.verify().is_whole  # against what the operator shows
    report = log.verify(auditor)
    assert {one.kind for one in report.findings} == {FindingKind.REWRITTEN}
    assert ("rewritten", AT, "tile/0/001") in found(report)
    assert UUID(report.findings[-1].stream or "") == UUID(stream_at(log, AT))
    shutil.rmtree(auditor / "tile")
    only_checkpoints = log.verify(auditor)
    assert [one.kind for one in only_checkpoints.findings] == [FindingKind.REWRITTEN]
    assert f"{log.first.checkpoint.size:,}" in only_checkpoints.findings[0].detail


def test_a_log_that_is_shortened_together_with_its_tree_is_truncated(log: AttackedLog) -> None:
    """As after an older backup was restored: nothing is signed any more."""
    log.delete("> 700")
    log.seal_anew()
    report = log.verify()
    assert [one.kind for one in report.findings] == [FindingKind.TRUNCATED]
    with pytest.raises(ForkError, match="events were lost"):
        log.checkpoint()


def test_a_folder_that_holds_another_history_is_not_written_to(log: AttackedLog) -> None:
    """Its tiles are the witness."""
    place = log.outside / Tile(0, 3, log.size - 768).path
    (log.outside / "checkpoint").unlink()
    place.write_bytes(bytes(len(place.read_bytes())))
    with pytest.raises(ForkError, match="is there and differs"):
        log.checkpoint()


def test_a_log_that_grows_while_it_is_verified_is_whole(log: AttackedLog) -> None:
    """What is sealed meanwhile, also into the tiles that are being read, is left for the next time."""
    with log.evidence(project=True, record=journeys(400)[-60:]) as evidence:
        reports = [log.verify() for _ in range(12)]
        evidence.catch_up()
        assert [one.findings for one in reports] == [[]] * len(reports)
        assert log.verify().events > log.size


def test_a_log_of_which_most_was_changed_is_told_in_bounded_room(
    log: AttackedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All events that differ are counted."""
    monkeypatch.setattr(verification, "_NAMED", 100)
    log.attack("UPDATE offerlog_events SET topic = 'changed.2'")
    report = log.verify()
    assert {one.kind for one in report.findings} == {FindingKind.EDITED}
    assert report.findings[-1].detail.startswith(f"{log.size - 256} more events")
    assert len(report.findings) == 256 + 1


def test_the_folder_outside_is_read_by_an_independent_library(log: AttackedLog) -> None:
    """It finds the signed root in our tiles, checks the signature, and its proofs are ours."""
    reader = TilesReader(LocalBackend(log.outside))
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string(log.key.with_name("audit.key.pub").read_text().strip()))
    assert reader.calculate_root_hash() == checkpoint.root_hash == log.last.checkpoint.root
    with log.evidence() as evidence:
        ours = evidence.prove(AT)
        first = log.first.checkpoint.size
        consistency = evidence.consistency(first, log.size)
    assert reader.get_inclusion_proof(ours.index, log.size).node_hashes == list(ours.hashes)
    assert reader.get_consistency_proof(first, log.size).node_hashes == list(consistency.hashes)
