"""What a killed archiver left goes with an erasure, files that others doomed go too; reads meet both."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from offerlog import Offerlog, open_offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_infrastructure.archive.places import ArchivePlace, open_place
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.postgres.archive import cold_streams
from offerlog_infrastructure.postgres.archive.archived_files import (
    ArchivedFile,
    ArchivedFileGoneError,
    ArchivedFiles,
)
from offerlog_infrastructure.postgres.archive.archiver import PostgresArchiver
from offerlog_infrastructure.postgres.archive.leftovers import doom_leftovers, remove_doomed
from support.internals import application_of
from support.journeys import an_id, signal
from support.recount import rows


class Kept(NamedTuple):
    """A store with one cold visitor-offer; the last event of the log is another visitor's."""

    service: Offerlog
    dsn: str
    folder: Path

    def move(self, archiver: type[PostgresArchiver] = PostgresArchiver) -> None:
        """Move what is cold, of any age."""
        archiver(application_of(self.service), SystemClock()).move_up_to(
            (1 << 40) - 1, str(self.folder), lambda _: None
        )

    def names(self) -> set[str]:
        """The files in the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*.parquet")}


@pytest.fixture
def kept(make_dsn: Callable[[], str], tmp_path: Path) -> Iterator[Kept]:
    """Visitor 1 was rejected, and was offered the same again in vain."""
    dsn = make_dsn()
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        for state, action in (("offered", 1), ("rejected", 1), ("offered", 2)):
            service.record([signal(state, visitor=1, action=action)])
        service.record([signal("offered", visitor=2)])
        service.catch_up()
        assert service.evidence is not None
        service.evidence.catch_up()
        yield Kept(service, dsn, tmp_path / "archive")


class _Killed(PostgresArchiver):
    """An archiver that goes no further than its file."""

    def raise_epoch(self, connection: Any) -> None:
        """Break off."""
        raise KeyboardInterrupt(connection)


def test_an_erasure_removes_the_file_of_a_killed_archiver(kept: Kept) -> None:
    """The store does not name it, and it has the sealed parts of the visitor."""
    with pytest.raises(KeyboardInterrupt):
        kept.move(_Killed)
    assert len(kept.names()) == 1
    # when
    kept.service.erase(customer_id="visitor-1")
    # then
    assert kept.names() == set()
    assert rows(kept.dsn, "SELECT * FROM archive_leftovers") == []


class _Late:
    """A place where others doom and remove a file before it is there."""

    def __init__(self, place: ArchivePlace, connection: Any) -> None:
        self.address, self.read = place.address, place.read
        self.remove, self.names = place.remove, place.names
        self._place, self._connection = place, connection

    def write(self, name: str, data: bytes) -> None:
        """Write the file behind its removal."""
        self._remove()
        self._place.write(name, data)

    def _remove(self) -> None:
        doom_leftovers(self._connection)
        remove_doomed(self._connection, self._place)


class _Early(_Late):
    """A place where others doom and remove a file once it is there."""

    def write(self, name: str, data: bytes) -> None:
        """Write the file before its removal."""
        self._place.write(name, data)
        self._remove()


class _Doomed(PostgresArchiver):
    """An archiver whose first file is doomed, and removed before it is written."""

    turns = 0
    place = _Late

    def write(self, connection: Any, place: ArchivePlace, name: str, rows: Any) -> bytes | None:
        """Write the file; the first one in a place that removes it."""
        self.turns += 1
        first = self.place(place, connection)
        return super().write(connection, place if self.turns > 1 else first, name, rows)


class _Removed(_Doomed):
    """An archiver whose first file is doomed, and removed before it is read back."""

    place = _Early


@pytest.mark.parametrize("archiver", [_Doomed, _Removed])
def test_a_file_that_was_doomed_goes_and_its_archiver_goes_on(
    kept: Kept, archiver: type[PostgresArchiver]
) -> None:
    """If it were left there, nobody would find it later: no row has its name."""
    kept.move(archiver)
    named = {name for (name,) in rows(kept.dsn, "SELECT name FROM archived_files")}
    assert len(named) == 1
    assert kept.names() == named
    assert rows(kept.dsn, "SELECT * FROM archive_leftovers") == []


def test_archived_dead_letters_are_left_out_of_the_proof(kept: Kept) -> None:
    """As those of the table are; sums of files and of single events are added."""

    def prove() -> Any:
        rows(kept.dsn, insert)
        found = kept.service.verify()
        rows(kept.dsn, "DELETE FROM dead_letters")
        return found

    insert = """
        INSERT INTO dead_letters (view, originator_id, position, originator_version, topic, error, waiting)
        SELECT 'suppression', originator_id, notification_id, originator_version, topic, 'a test', 1
        FROM kept_events ORDER BY notification_id LIMIT 1 OFFSET 1
    """
    rows(kept.dsn, "CREATE TABLE kept_events AS SELECT * FROM offerlog_events")
    before = prove()
    assert any(one.differences for one in before)
    # when
    kept.move()
    # then
    assert rows(kept.dsn, "SELECT events FROM archived_files") == [(3,)]
    assert prove() == before


def test_blocked_offers_are_read_again_if_a_file_was_replaced(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure replaces it between the look at its name and the look into it."""
    query = ReportQuery(kept.service.organization)
    before = kept.service.analysis.blocked_offers(query)
    kept.move()
    opened, turns = ArchivedFiles.open, []

    def gone_at_first(files: ArchivedFiles, connection: Any, file: ArchivedFile) -> Any:
        turns.append(file)
        if len(turns) == 1:
            raise ArchivedFileGoneError(file.name, "the place", "there is no such file")
        return opened(files, connection, file)

    monkeypatch.setattr(ArchivedFiles, "open", gone_at_first)
    # when
    found = kept.service.analysis.blocked_offers(query)
    # then
    assert found == before
    assert len(turns) > 1


@pytest.mark.parametrize(
    ("reader", "name"), [("newest_actions", "select_streams"), ("stream_loader", "select_each")]
)
def test_an_erasure_between_two_statements_blanks_nothing_that_is_read(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, reader: str, name: str
) -> None:
    """Eligibility and writers ask in one snapshot, or again: before the erasure or after it, no error."""
    kept.move()
    turns: list[str] = []
    module = importlib.import_module(f"offerlog_infrastructure.postgres.log.{reader}")
    select = getattr(module, name)

    def erase_first(*args: Any) -> Any:
        turns.append(name)
        if len(turns) == 1:
            with open_offerlog(database_url=kept.dsn, keep_deadlines=False) as other:
                other.erase(customer_id="visitor-1")
        return select(*args)

    monkeypatch.setattr(module, name, erase_first)
    # when
    if reader == "newest_actions":
        assert kept.service.eligibility(customer_id="visitor-1", action_map_id=an_id("map")) is None
    else:
        outcomes = kept.service.record([signal("offered", visitor=1, action=3)]).outcomes
        assert [one.kind.value for one in outcomes] == ["recorded"]
    # then
    assert turns


class _Vain(PostgresArchiver):
    """An archiver that somebody else is always in the way of."""

    turns = 0

    def replace_rows(self, *args: Any) -> bool:
        """Move nothing."""
        self.turns += 1
        assert self.turns <= 10, args
        return False


def test_every_batch_is_tried_a_few_times(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one of a slice, too, if the first one was given up."""
    monkeypatch.setattr(cold_streams, "_STREAMS_IN_BATCH", 1)
    for state in ("offered", "rejected"):
        kept.service.record([signal(state, visitor=1, actionMapId=an_id("another"))])
    kept.service.record([signal("accepted", visitor=2)])
    kept.service.catch_up()
    assert kept.service.evidence is not None
    kept.service.evidence.catch_up()
    # when
    kept.move(_Vain)
    # then
    assert rows(kept.dsn, "SELECT count(*) FROM archived_files") == [(0,)]
    kept.move()
    assert rows(kept.dsn, "SELECT count(*) FROM archived_files") == [(2,)]


def test_a_name_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    """Files elsewhere are neither read nor removed, whatever the database says."""
    place, outside = open_place(str(tmp_path / "archive")), tmp_path / "kept.txt"
    place.write("slice=00/one.1.parquet", b"one")
    outside.write_text("kept")
    for name in ("../kept.txt", "slice=00/../../kept.txt", str(outside)):
        for call in (place.read, place.remove):
            with pytest.raises(OSError, match="out of the folder"):
                call(name)
    assert outside.read_text() == "kept"
    assert place.read("slice=00/one.1.parquet") == b"one"
