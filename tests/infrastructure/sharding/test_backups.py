"""Backups of several servers: one moment of all of them, restored as a whole or not at all."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from offerlog import (
    Offerlog,
    ReportQuery,
    ShardError,
    ShardUnavailableError,
    StoreMissingError,
    StoreUnavailableError,
    open_offerlog,
)
from offerlog.testing import SettableClock
from offerlog_infrastructure.archive.errors import ArchiveCopyError
from offerlog_infrastructure.backups import copied_archives, making, programs, restoring_of_servers
from offerlog_infrastructure.backups.backup_folder import SERVERS, BackupFolder
from offerlog_infrastructure.backups.errors import BackupFileError, NoErasuresError
from offerlog_infrastructure.backups.making import BackupPlace
from offerlog_infrastructure.backups.making_of_servers import is_of_several, make_backup_of_servers
from offerlog_infrastructure.backups.past_erasures import ErasureSource
from offerlog_infrastructure.backups.restored_servers import RestoredServers, ServersRequest
from offerlog_infrastructure.backups.restoring_of_servers import restore_servers
from offerlog_infrastructure.composition import SCHEMA, open_restored
from offerlog_infrastructure.installation import Installation
from offerlog_infrastructure.postgres.backup import servers, snapshot
from offerlog_infrastructure.postgres.backup.restore_target import RestoreTarget
from offerlog_infrastructure.postgres.projections.projector import LOCK_SPACE
from offerlog_infrastructure.postgres.projections.rebuild import builder
from support.databases import Databases
from support.installations import (
    Stores,
    compare_answers,
    make_stores,
    move_slice,
    owners_of,
    visitors_of_slice,
    without_password,
)
from support.journeys import DAY, journeys, signal
from support.keyrings import run_keyring
from support.recount import rows
from support.shard_archives import archive_servers, check_places

_VISITORS: Final = 56
_LOCKED: Final = ("parked_short_signals", "webhook_deliveries", "webhook_endpoints")
_SELECT_LOCKED: Final = """
    SELECT relname FROM pg_locks JOIN pg_class ON pg_class.oid = relation
    WHERE mode = 'ShareLock' AND granted AND pg_locks.database = (
        SELECT oid FROM pg_database WHERE datname = current_database()
    ) AND relkind = 'r'
    ORDER BY 1
"""


class Backup(NamedTuple):
    """A backup of three servers, and a store that is as they were then, without who was erased since.

    Attributes:
        stores: The servers.
        single: The store, and a service over it.
        folder: The backup.
        outside: The folder of checkpoints of the home.
        erased: A visitor who was erased since, on another server than the backup has the visitor on.
    """

    stores: Stores
    single: Offerlog
    folder: Path
    outside: Path
    erased: str

    @property
    def place(self) -> BackupPlace:
        """The home of the servers."""
        return BackupPlace(SCHEMA, None, self.stores.dsns[0], self.outside)


@pytest.fixture(scope="module")
def backup(make_module_dsn: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backup]:
    """While the dumps are written, a slice moves with its files, and signals are recorded."""
    clock, folder = SettableClock(DAY + timedelta(days=1)), tmp_path_factory.mktemp("backups")
    outside = folder / "outside"
    with (
        make_stores(make_module_dsn, "6-a", "b-f") as stores,
        stores.open(clock=clock, checkpoints=outside) as service,
        open_offerlog(database_url=make_module_dsn(), clock=clock, keep_deadlines=False) as single,
        pytest.MonkeyPatch.context() as patched,
    ):
        erased, *_ = visitors_of_slice(service, 9, 1_000)
        cold = [signal(state, visitor=erased.removeprefix("visitor-")) for state in ("offered", "rejected")]
        for one in (service, single):
            one.record(cold)
            one.wait(one.record(journeys(_VISITORS)).position)
        move_slice(stores, 7, 2)
        assert all(archive_servers(service, folder / "archive"))
        dump, dumped = programs.dump_schema, list[str]()

        def move_and_dump(*given: Any) -> Any:
            if not dumped:
                move_slice(stores, 9, 0)
                service.record([signal("offered", visitor="later")])
            dumped.append(given[-1])
            return dump(*given)

        patched.setattr(making, "dump_schema", move_and_dump)
        made = Backup(stores, single, folder / "backup", outside, erased)
        assert is_of_several(made.place)
        make_backup_of_servers(BackupFolder(made.folder), made.place)
        assert len(dumped) == 3
        assert owners_of(stores, 9) == [0]
        for one in (service, single):
            one.erase(customer_id=made.erased)
        assert rows(stores.dsns[0], "SELECT DISTINCT edition FROM archived_files WHERE slice = 9") == [(2,)]
        check_places(stores, folder / "archive")
        yield made


@pytest.fixture
def targets(databases: Databases) -> Iterator[list[str]]:
    """Three databases with nothing in them."""
    made = [databases.make("template0") for _ in range(3)]
    yield made
    databases.drop(made)


def _restore(
    backup: Backup, targets: Sequence[str], folder: Path | None = None, **more: Any
) -> RestoredServers:
    home, *others = targets

    def find_faults(directory: Any) -> Sequence[str]:
        with Installation(None, home, run_keyring(), directory=directory) as installation:
            return installation.verify()

    return restore_servers(
        ServersRequest(
            folder=BackupFolder(folder or backup.folder),
            home=home,
            urls=[without_password(one) for one in others],
            keyring=run_keyring(),
            open_service=lambda directory: open_restored(home, run_keyring(), "default", directory),
            find_faults=find_faults,
            schema=SCHEMA,
            **{
                "erasures": ErasureSource(backup.outside),
                "checkpoints": backup.outside,
                "archive_copy": backup.outside.with_name(f"archive of {conninfo_to_dict(home)['dbname']}"),
                **more,
            },
        )
    )


def _kill(*_: object) -> None:
    """End what is being done where it is, as a kill does."""
    raise KeyboardInterrupt


def _restore_until(place: Any, name: str, backup: Backup, targets: Sequence[str]) -> None:
    """Begin to restore, up to a step of it."""
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr(place, name, _kill)
        with pytest.raises(KeyboardInterrupt):
            _restore(backup, targets)


def test_servers_are_restored_as_they_were_without_those_who_were_erased_since(
    backup: Backup, targets: list[str]
) -> None:
    """Wherever the restore is interrupted, nobody can use the servers, and the same call goes on."""
    # when it is killed behind the first load, behind the erasures, and before the last step
    _restore_until(RestoreTarget, "join", backup, targets)
    with pytest.raises(StoreMissingError):
        open_offerlog(database_url=targets[0], create=False)
    for place, name in ((restoring_of_servers, "_verify"), (RestoreTarget, "finish_home")):
        _restore_until(place, name, backup, targets)
        with pytest.raises(ShardError, match="if `offerlog restore` was interrupted, run the same command"):
            open_offerlog(database_url=targets[0], create=False)
    made = _restore(backup, targets)
    # then all is as it was at the moment of the backup
    assert [one.slices for one in made.servers.values()] == [[*range(6)], [6, 8, 9, 10], [7, *range(11, 16)]]
    with open_offerlog(database_url=targets[0], keep_deadlines=False) as service:
        compare_answers(service, backup.single, _VISITORS)
        assert not list(service.timeline(customer_id=backup.erased))
        assert not list(service.timeline(customer_id="visitor-later"))
        assert service.record([signal("offered", visitor="new")]).outcomes
    with Installation(None, targets[0], run_keyring()) as installation:
        assert list(installation.verify()) == []
        assert all(not report.findings for report in installation.audit(Path("missing.key"), None).values())
    # and neither set of servers takes one of the other for its own
    assert rows(targets[0], "SELECT installation FROM shard") != rows(
        backup.stores.dsns[0], "SELECT installation FROM shard"
    )
    # and a restore replaces nothing
    with pytest.raises(ShardError, match="is not empty, and a restore replaces nothing"):
        _restore(backup, targets, archive_copy=backup.outside.with_name("another copy"))


def test_what_cannot_be_restored_is_refused_before_anything_is_made(
    backup: Backup, targets: list[str], tmp_path: Path
) -> None:
    """A part that is missing or changed, lists of erasures that are short, a server that is down."""
    copied = tmp_path / "copied"
    shutil.copytree(backup.folder, copied)
    part = next(copied.glob("shard-1-*"))
    whole = part.read_bytes()
    part.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BackupFileError, match=f"{part.name} is not the file that {SERVERS} describes"):
        _restore(backup, targets, copied)
    part.unlink()
    with pytest.raises(BackupFileError, match=f"{part.name} cannot be read"):
        _restore(backup, targets, copied)
    (copied / SERVERS).unlink()
    with pytest.raises(BackupFileError, match=f"has no {SERVERS}: it is not the folder of a backup"):
        _restore(backup, targets, copied)
    shutil.copytree(backup.outside, tmp_path / "outside")
    with pytest.raises(NoErasuresError, match=r"no list of erasures in .*outside-shard-1"):
        _restore(backup, targets, erasures=ErasureSource(tmp_path / "outside"))
    away = without_password(targets[1]).replace("host=", "host=/nowhere")
    with pytest.raises(StoreUnavailableError, match="the server for shard 1"):
        _restore(backup, [targets[0], away, targets[2]])
    assert rows(targets[0], "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'offerlog%%'") == [(0,)]


def test_a_backup_is_of_one_moment_or_is_not_made(
    backup: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No slice is on its way, no server is missing, and no short signal leaves the home in between."""
    monkeypatch.setattr(servers, "_PATIENCE_SECONDS", 0.0)
    folder = BackupFolder(tmp_path / "backup")
    other, home = backup.stores.dsns[2], backup.stores.dsns[0]
    # a server is down
    backup.stores.proxy.go_away()
    with pytest.raises(ShardUnavailableError, match=r"^shard 1 \(slices: 6,8,a\)"):
        make_backup_of_servers(folder, backup.place)
    backup.stores.proxy.come_back()
    assert not folder.path.exists()  # nothing was in it
    # a slice moves, or has not ended to move
    with psycopg.connect(other) as mover:
        mover.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_SPACE, builder._LOCK_NUMBER))
        with pytest.raises(ShardUnavailableError, match=r"^shard 2 .* a slice moves"):
            make_backup_of_servers(folder, backup.place)
    rows(other, "UPDATE slices SET is_owned = false WHERE slice = 12")
    with pytest.raises(ShardError, match=r"slices are on their way \(c\), so nothing was backed up"):
        make_backup_of_servers(folder, backup.place)
    rows(other, "UPDATE slices SET is_owned = true WHERE slice = 12")
    with pytest.raises(ShardError, match="this store is shard 2 of several: back up their home"):
        is_of_several(backup.place._replace(database_url=other))
    assert not folder.is_one()
    # and the home comes last, and what it notes about the others stands still until then
    taken: list[str] = []
    check = snapshot.prepare_snapshot

    @contextmanager
    def prepare(dsn: str, schema: str, **given: Any) -> Iterator[Callable[[], Any]]:
        with check(dsn, schema, **given) as take:

            def look_and_take() -> Any:
                taken.append(dsn)
                assert rows(home, _SELECT_LOCKED) == [(one,) for one in _LOCKED]
                if len(taken) == 1:  # a report names positions in logs whose snapshots are taken already
                    with backup.stores.open() as service:
                        service.issued_reports.issue(ReportQuery("default"), "an analyst")
                return take()

            yield look_and_take

    monkeypatch.setattr(servers, "prepare_snapshot", prepare)
    monkeypatch.setattr(making, "dump_schema", _kill)
    with pytest.raises(KeyboardInterrupt):
        make_backup_of_servers(folder, backup.place)
    assert (len(taken), taken[2], taken[5]) == (6, home, home)
    assert not folder.is_one()


def test_a_folder_has_its_former_backup_until_the_new_one_is_whole(
    backup: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left of what was interrupted."""
    copied = tmp_path / "copied"
    shutil.copytree(backup.folder, copied)
    (copied / "shard-0-interrupted.offerlog").touch()
    former = BackupFolder(copied).read()
    with pytest.raises(BackupFileError, match="never replaces another without --force"):
        make_backup_of_servers(BackupFolder(copied), backup.place)
    with monkeypatch.context() as killed:
        killed.setattr(making, "dump_schema", _kill)
        with pytest.raises(KeyboardInterrupt):
            make_backup_of_servers(BackupFolder(copied), backup.place, replace=True)
    assert BackupFolder(copied).read() == former
    with (
        BackupFolder(copied).filled(replace=True),
        pytest.raises(BackupFileError, match="by another process"),
    ):
        make_backup_of_servers(BackupFolder(copied), backup.place, replace=True)
    made = make_backup_of_servers(BackupFolder(copied), backup.place, replace=True)
    names = {one.file for one in made.servers.servers}
    assert {one.name for one in copied.iterdir()} == names | {SERVERS}
    assert not names & {one.file for one in former.servers}
    assert {one.stat().st_mode & 0o777 for one in copied.iterdir()} == {0o600}
    (copied / "mine.txt").touch()
    with pytest.raises(BackupFileError, match=r"other files, such as mine.txt"):
        make_backup_of_servers(BackupFolder(copied), backup.place, replace=True)
    assert json.loads((copied / SERVERS).read_text())["id"] == made.servers.id


def test_a_copy_of_the_archive_needs_a_folder_of_its_own_and_goes_on_behind_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the archive of the former servers nor a foreign folder is touched."""
    copy, source, asked = tmp_path / "copy", tmp_path / "archive", list[Path]()
    first, second = uuid4(), uuid4()
    request: Any = SimpleNamespace(
        folder=BackupFolder(tmp_path), archive=None, archive_copy=None, schema=SCHEMA, on_progress=id
    )
    manifests: Any = {0: SimpleNamespace(id="one", archive=str(source), archived_files=1)}
    targets: Any = {0: SimpleNamespace(dsn="")}

    def is_copied(*_: object) -> bool:
        return len(asked) == 2

    monkeypatch.setattr(copied_archives, "is_archive_at", is_copied)
    for folder, message in ((None, "name a new folder"), (source, "has its archive in .*stays as it is")):
        request.archive_copy = folder
        with pytest.raises(BackupFileError, match=message):
            copied_archives.check_folders(request, targets, manifests, None)
    request.archive_copy = copy
    copy.mkdir()
    (copy / "mine.txt").touch()
    with pytest.raises(BackupFileError, match=r"copy is not empty, .*: name a new folder"):
        copied_archives.check_folders(request, targets, manifests, None)
    (copy / "mine.txt").unlink()

    def write_half(*given: Any, **_: object) -> None:
        folder = given[3]
        (folder / "half.parquet").touch(exist_ok=False)
        asked.append(folder)
        if len(asked) == 1:
            _kill()

    monkeypatch.setattr(copied_archives, "copy_archive", write_half)
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda *_, **__: None)  # a kill leaves all as it is
        with pytest.raises(KeyboardInterrupt):
            copied_archives.copy_archives(request, targets, manifests, first)
    # another restore of the same backup does not clear it, whether it looks before or behind the mark
    with pytest.raises(BackupFileError, match="another restore that has not ended has its copy in"):
        copied_archives.check_folders(request, targets, manifests, second)
    with pytest.raises(ArchiveCopyError, match="another restore has taken it"):
        copied_archives.copy_archives(request, targets, manifests, second)
    # and a kill right behind the copy leaves a mark, which the same restore removes, and nothing behind that
    copied_archives.check_folders(request, targets, manifests, first)
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda *_, **__: _kill())
        with pytest.raises(KeyboardInterrupt):
            copied_archives.copy_archives(request, targets, manifests, first)
    for _ in range(2):
        copied_archives.check_folders(request, targets, manifests, first)
        copied_archives.copy_archives(request, targets, manifests, first)
        assert asked == [copy, copy]
        assert [one.name for one in copy.iterdir()] == ["half.parquet"]
    # if the answer to the commit of a copy was lost, it is removed, and the store names its folder
    shutil.rmtree(copy)
    copied_archives.copy_archives(request, targets, manifests, first)
    assert asked == [copy] * 3
