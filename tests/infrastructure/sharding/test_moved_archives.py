"""A slice that moves with its part of the archive, beside erasures, archivers, and places that fail."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import pytest

from offerlog import NoSuchVisitorError, Offerlog, ReportQuery
from offerlog.testing import SettableClock
from offerlog_application.ports.erasure import ErasureUnfinishedError
from offerlog_application.ports.shards import ShardBusyError, ShardError
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.stream_ids import stream_bounds, token_of
from offerlog_infrastructure.archive.errors import ArchiveRunningError, ArchiveUnavailableError
from offerlog_infrastructure.archive.event_files import EventTable
from offerlog_infrastructure.archive.places import ArchiveFolder, home_place_of, place_of_server
from offerlog_infrastructure.cli.exit_codes import ExitCode, code_of
from offerlog_infrastructure.installation import Installation
from offerlog_infrastructure.postgres.archive.archive_lock import hold_archive_lock
from offerlog_infrastructure.postgres.archive.archiver import PostgresArchiver
from offerlog_infrastructure.postgres.erasure import erasures
from offerlog_infrastructure.postgres.erasure.blanking import blank_state
from offerlog_infrastructure.postgres.shards import moving
from offerlog_infrastructure.postgres.shards.slice_copy import SliceCopy
from offerlog_infrastructure.postgres.shards.slice_counts import FoldedSlice
from offerlog_infrastructure.postgres.shards.slice_files import SliceFiles
from support.installations import Stores, make_stores, move_slice, owners_of, visitors_of_slice
from support.journeys import DAY, an_id, journeys, signal
from support.keyrings import run_keyring
from support.moved_slices import settle
from support.recount import rows
from support.shard_archives import (
    archive_servers,
    archive_store,
    check_logs,
    check_places,
    events_of,
    files_of,
)

pytest.importorskip("pyarrow")

_NUMBER: Final = 3
_MANY: Final = 1_000
_LOGS_OF_PARTS: Final = """
    SELECT array_agg(f.first_position >> 40 ORDER BY s.last_version)
    FROM settled s JOIN archived_files f ON f.number = s.file WHERE f.slice = %s GROUP BY s.originator_id
"""

_COUNT_HOT: Final = "SELECT count(*) FROM offerlog_events WHERE originator_id BETWEEN %s AND %s"


class _Archived(NamedTuple):
    """Two servers, of which the home has an archive.

    Attributes:
        stores: The servers.
        service: The service over them.
        folder: The place of the archives.
        visitors: Some visitors of the slice that moves, who have rejected an offer, which is archived. Each
            test takes its own.
        errored: Another one, whose offer failed.
    """

    stores: Stores
    service: ShardedOfferlog
    folder: Path
    visitors: list[int]
    errored: int


@pytest.fixture(scope="module")
def archived(
    make_module_dsn: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[_Archived]:
    """A home with the slices 0 to 7, and a shard with the others, which has no archive yet."""
    folder, clock = tmp_path_factory.mktemp("archive"), SettableClock(DAY + timedelta(days=1))
    with make_stores(make_module_dsn, "8-f") as stores, stores.open(clock=clock) as service:
        visitors = [int(one.removeprefix("visitor-")) for one in visitors_of_slice(service, _NUMBER, _MANY)]
        for state in ("offered", "rejected"):
            service.record([_signal(state, n) for n in visitors[:20]])
        service.record([_signal(state, visitors[20]) for state in ("offered", "errored")])
        service.wait(service.record(journeys(14)).position)
        home = service.services_of_servers()[0]
        assert isinstance(home, Offerlog)
        assert archive_store(home, str(folder))
        yield _Archived(stores, service, folder, visitors[:20], visitors[20])


@pytest.fixture(autouse=True)
def _is_whole(archived: _Archived) -> Iterator[None]:
    """At the end of each test the slice is at home, and all is of one piece."""
    yield
    if owners_of(archived.stores, _NUMBER) != [0]:
        move_slice(archived.stores, _NUMBER, 0)
    check_places(archived.stores, archived.folder)
    archived.service.catch_up()
    assert not any(proof.differences for proof in archived.service.verify())
    with Installation(None, archived.stores.dsns[0], run_keyring()) as installation:
        assert installation.verify() == []


def _signal(state: str, visitor: int, action: int = 1) -> dict[str, object]:
    return signal(state, visitor=visitor, action=action, actionMapId=an_id("map", visitor % 3))


def _holds_sealed(archived: _Archived, token: int, number: int) -> bool:
    """True if the place of a server has a sealed part of a visitor, whatever is named there."""
    place = Path(str(place_of_server(str(archived.folder), number)))
    return any(
        blank_state(row[4]) != row[4]
        for name in files_of(archived.folder, number)
        for row in EventTable((place / name).read_bytes()).all()
        if token_of(row[1]) == token
    )


def _take_visitor(archived: _Archived) -> tuple[int, int]:
    """Take an archived visitor, whom no other test has erased; returns the token, too."""
    taken = archived.visitors.pop()
    return taken, _token_of(archived, taken)


def _token_of(archived: _Archived, visitor: int) -> int:
    held = archived.service.visitor_data(customer_id=f"visitor-{visitor}")
    return next(token_of(row.fields["stream"]) for row in held if row.place == "offerlog_events")


def _record_on_other(archived: _Archived) -> None:
    """Record events on the other server, behind those of the slice that moves."""
    for one in visitors_of_slice(archived.service, 9, _MANY)[:2]:
        archived.service.record([_signal("offered", int(one.removeprefix("visitor-")))])


def test_files_move_along_and_come_back(archived: _Archived) -> None:
    """The other server gets a place for them, beside that of the home."""
    stores, folder = archived.stores, archived.folder
    before = archived.service.report(ReportQuery("default"))
    history: dict[str, Any] = {"customer_id": f"visitor-{archived.errored}"}
    history["action_map_id"] = an_id("map", archived.errored % 3)
    known = archived.service.history(**history)
    of_slice = "SELECT events, digest, sha256 FROM archived_files WHERE slice = %s"
    files = rows(stores.dsns[0], of_slice, _NUMBER)
    # when
    moved = move_slice(stores, _NUMBER, 1)
    # then
    assert moved.events >= sum(one[0] for one in files) > 0
    check_places(stores, folder)
    assert rows(stores.dsns[1], "SELECT place FROM archive_place") == [(f"{folder}/shard-1",)]
    assert rows(stores.dsns[1], of_slice, _NUMBER) == files
    moved_away = "SELECT events FROM moved_events WHERE slice = %s"
    assert rows(stores.dsns[0], moved_away, _NUMBER) == [(moved.events,)]
    assert rows(stores.dsns[0], of_slice, _NUMBER) == []
    assert archived.service.report(ReportQuery("default")) == before
    assert archived.service.history(**history) == known
    assert known.version > 0
    # and who has rejected an offer gets no other one; late signals go on, and are archived by the new owner
    n = archived.visitors[0]
    late = [_signal(state, n, action) for action in (1, 2) for state in ("offered", "rejected", "accepted")]
    kinds = [one.kind.name for one in archived.service.record(late).outcomes]
    assert kinds == ["DUPLICATE", "DUPLICATE", *["REFUSED"] * 4]
    again = [_signal(state, archived.errored, 2) for state in ("offered", "errored")]
    kinds = [one.kind.name for one in archived.service.record(again).outcomes]
    assert kinds == ["RECORDED", "RECORDED"]
    archived.service.record([signal("offered", visitor=f"new {one}") for one in range(9)])
    assert all(archive_servers(archived.service, folder)[1:])
    logs = rows(stores.dsns[1], "SELECT DISTINCT first_position >> 40 FROM archived_files WHERE slice = 3")
    assert sorted(logs) == [(0,), (1,)]
    known = archived.service.history(**history)
    move_slice(stores, _NUMBER, 0)
    check_places(stores, folder)
    assert archived.service.history(**history) == known
    archived.service.rebuild("performance")


def test_an_erasure_during_the_move_goes_for_the_copies_too(
    archived: _Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During the copy, and right before the fence; a late signal of an archived visitor-offer beside it."""
    taken = [_take_visitor(archived) for _ in range(3)]
    (first, _), (second, _), (late, of_late) = taken
    fold_all, add_most = FoldedSlice.fold_all, SliceCopy.add_most

    def erase(visitor: int) -> None:
        archived.service.erase(customer_id=f"visitor-{visitor}")

    def fold_late(folded: FoldedSlice, *args: Any) -> None:
        fold_all(folded, *args)
        erase(first)

    def add_early(copy: SliceCopy, *args: Any) -> None:
        add_most(copy, *args)
        erase(second)
        archived.service.record([_signal("offered", late, 2)])

    with monkeypatch.context() as patched:
        patched.setattr(FoldedSlice, "fold_all", fold_late)
        patched.setattr(SliceCopy, "add_most", add_early)
        # when
        move_slice(archived.stores, _NUMBER, 1)
    # then
    check_places(archived.stores, archived.folder)
    for visitor, token in taken[:2]:
        assert not any(_holds_sealed(archived, token, number) for number in (0, 1))
        with pytest.raises(NoSuchVisitorError):
            archived.service.visitor_data(customer_id=f"visitor-{visitor}")
    assert _holds_sealed(archived, of_late, 1)
    # and a late signal right before the fence alone

    def add_late(copy: SliceCopy, *args: Any) -> None:
        add_most(copy, *args)
        archived.service.record([_signal("accepted", late, 2)])

    with monkeypatch.context() as patched:
        patched.setattr(SliceCopy, "add_most", add_late)
        (archived.folder / "slice=03" / "killed").touch()  # a mover was killed before this one
        rows(archived.stores.dsns[0], "INSERT INTO archive_leftovers (name) VALUES ('slice=03/killed')")
        move_slice(archived.stores, _NUMBER, 0)
    archived.service.rebuild("performance")


def test_no_erasure_is_complete_before_the_former_owner_has_nothing_left(
    archived: _Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a row nor a file: its place may be out of reach for a while."""
    visitor, token = _take_visitor(archived)
    remove = ArchiveFolder.remove

    def fail(place: ArchiveFolder, name: str) -> None:
        if place.address == str(archived.folder):
            raise OSError("no route to the disk")
        remove(place, name)

    monkeypatch.setattr(ArchiveFolder, "remove", fail)
    monkeypatch.setattr(erasures, "_LEAVE_SECONDS", 0.2)
    # when
    with pytest.raises(ShardError, match=r"slice 3 is moved, and some files of it are left .*no route"):
        move_slice(archived.stores, _NUMBER, 1)
    assert owners_of(archived.stores, _NUMBER) == [1]
    for _ in range(2):
        with pytest.raises(ErasureUnfinishedError, match="has not deleted its copy yet"):
            archived.service.erase(customer_id=f"visitor-{visitor}")
        monkeypatch.setattr(erasures, "_LEAVE_SECONDS", 1e9)  # one call waits, and those after it do not
    # then a service ends the move once it can, and the erasure goes on
    assert _holds_sealed(archived, token, 0)
    monkeypatch.setattr(ArchiveFolder, "remove", remove)
    assert archived.service._moves is not None
    archived.service._moves.end_interrupted(archived.service.servers())
    assert not _holds_sealed(archived, token, 0)
    erased = archived.service.erase(customer_id=f"visitor-{visitor}")
    assert erased.position
    assert not _holds_sealed(archived, token, 1)


def test_an_erasure_finds_the_files_of_all_logs(archived: _Archived, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a killed archiver has left, and those that the store names; each log has one."""
    stores, folder = archived.stores, archived.folder
    fresh = visitors_of_slice(archived.service, _NUMBER, _MANY)[21:23]
    first, second = (int(one.removeprefix("visitor-")) for one in fresh)
    for owner in (0, 1):
        if owner:
            move_slice(stores, _NUMBER, owner)
        archived.service.record(
            [_signal(state, n, owner) for n in (first, second) for state in ("offered", "errored")]
        )
    _record_on_other(archived)
    token = _token_of(archived, second)
    service = archived.service.services_of_servers()[1]
    assert isinstance(service, Offerlog)
    assert isinstance(service.archiver, PostgresArchiver)
    place = str(place_of_server(str(folder), 1))
    settle(archived.service)
    service.archiver.move_up_to((1 << 40) - 1, place, lambda _: None)  # of one log, and the streams have two
    assert rows(stores.dsns[1], _COUNT_HOT, *stream_bounds(token)) == [(4,)]
    named = files_of(folder, 1)

    def kill(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(PostgresArchiver, "raise_epoch", kill)
        with pytest.raises(KeyboardInterrupt):
            archive_store(service, place)
    assert len(files_of(folder, 1) - named) == 2
    # when
    archived.service.erase(customer_id=f"visitor-{first}")
    # then
    check_places(stores, folder)
    # and of those that are named
    known = events_of(stores, folder)
    assert archive_store(service, place)
    check_logs(stores, folder)
    assert events_of(stores, folder) == known
    assert [0, 1] in [logs for (logs,) in rows(stores.dsns[1], _LOGS_OF_PARTS, _NUMBER)]
    assert _holds_sealed(archived, token, 1)
    archived.service.erase(customer_id=f"visitor-{second}")
    assert not _holds_sealed(archived, token, 1)


def test_the_last_event_of_a_log_comes_back_in_a_file(archived: _Archived) -> None:
    """The end of the log is found there, by all who ask for it."""
    stores, folder = archived.stores, archived.folder
    home = archived.service.services_of_servers()[0]
    assert isinstance(home, Offerlog)
    home.subscriptions.acknowledge("bi", home.position())
    archived.service.record([_signal(state, archived.errored, 21) for state in ("offered", "errored")])
    home.catch_up()

    def read() -> list[Any]:
        assert home.evidence is not None
        assert home.issued_reports is not None
        settle(archived.service)
        return [
            home.position(),
            home.feed.end(),
            [(one.name, one.lag_events, one.lag_seconds) for one in home.subscriptions.all()],
            home.projections(),
            home.issued_reports._replays.settle(None),
        ]

    before = read()
    move_slice(stores, _NUMBER, 1)
    _record_on_other(archived)
    # when
    assert archive_servers(archived.service, folder)[1]
    move_slice(stores, _NUMBER, 0)
    # then
    assert read() == before


def test_archivers_and_movers_wait_for_each_other(
    archived: _Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On both servers of the move."""
    monkeypatch.setattr(moving, "_LOCK_SECONDS", 0.2)
    for number, dsn in enumerate(archived.stores.dsns):
        with (
            psycopg.connect(dsn, options="-c search_path=offerlog", autocommit=True) as connection,
            hold_archive_lock(connection),
            pytest.raises(ShardBusyError) as refused,
        ):
            move_slice(archived.stores, _NUMBER, 1)
        assert str(refused.value) == f"`offerlog archive` is at work on shard {number}: wait for its end"
        assert code_of(refused.value) == ExitCode.BUSY
    tried = []
    copy_all = SliceCopy.copy_all

    def archive_meanwhile(copy: SliceCopy, *args: Any) -> None:
        copy_all(copy, *args)
        for one in archived.service.services_of_servers().values():
            assert isinstance(one, Offerlog)
            assert one.archiver is not None
            with pytest.raises(ArchiveRunningError, match="or a slice to or from this server"):
                one.archiver.move(timedelta(days=90), None, lambda _: None)
            tried.append(one)

    monkeypatch.setattr(SliceCopy, "copy_all", archive_meanwhile)
    move_slice(archived.stores, _NUMBER, 1)
    assert len(tried) == 2


def test_a_slice_stays_if_a_file_cannot_be_copied(
    archived: _Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is missing or was changed, or somebody removes the copy; nothing is left at the other server."""
    ((name,), *_) = rows(archived.stores.dsns[0], "SELECT name FROM archived_files WHERE slice = 3 LIMIT 1")
    file = archived.folder / name
    data = file.read_bytes()
    for damaged, message in ((None, "No such file"), (data[:-1], "its bytes are not")):
        file.unlink()
        if damaged is not None:
            file.write_bytes(damaged)
        with pytest.raises(ArchiveUnavailableError, match=message):
            move_slice(archived.stores, _NUMBER, 1)
        file.write_bytes(data)
        assert owners_of(archived.stores, _NUMBER) == [0]
        check_places(archived.stores, archived.folder)
    # and whoever undoes the move dooms its copies
    take = SliceFiles.take

    def take_late(files: SliceFiles, into: Any) -> None:
        with psycopg.connect(archived.stores.dsns[1], options="-c search_path=offerlog") as connection:
            connection.execute("UPDATE archive_leftovers SET is_doomed = true")
        take(files, into)

    monkeypatch.setattr(SliceFiles, "take", take_late)
    with pytest.raises(ShardError, match="its copies of files are removed"):
        move_slice(archived.stores, _NUMBER, 1)
    assert owners_of(archived.stores, _NUMBER) == [0]


def test_places_of_servers_are_parts_of_that_of_the_home() -> None:
    """Forth and back."""
    for place in ("/mnt/archive", "s3://bucket/offerlog"):
        for number in range(3):
            assert home_place_of(str(place_of_server(place, number)), number) == place
    assert home_place_of("/mnt/other", 1) is None
