"""The local suppression list: the same answers as the log's, or none."""

import json
import os
import signal as posix
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.read_models import ReplicaStaleError
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.archive.archived_rows import select_end
from offerlog_infrastructure.postgres.archive.archiver import PostgresArchiver
from offerlog_infrastructure.replica.store import ReplicaStore
from support.internals import application_of, replica_store_of
from support.journeys import journeys
from support.positions import number_of
from support.processes import LimitedProcess
from support.recount import rows, until

MAP = str(uuid.uuid4())


def life(customer: str, *states: str) -> list[bytes]:
    """The states of one action."""
    ids = {"actionId": str(uuid.uuid4()), "actionMapId": MAP, "sessionId": str(uuid.uuid4())}
    return [json.dumps({**ids, "customerId": customer, "actionState": state}).encode() for state in states]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where replicas lie."""
    with tempfile.TemporaryDirectory(prefix="replica-") as name:
        yield Path(name)


@pytest.fixture
def local(dsn: str, folder: Path) -> Iterator[Offerlog]:
    """A service with a replica, over a log that had something in it already."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as before:
        before.wait(before.record(journeys(210)).position)
    with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as service:
        yield service


def same(offerlog: Offerlog, visitors: int) -> bool:
    """Whether replica and projection answer alike for all of the journeys' visitors."""
    keys = [VisitorKey("cookie", f"visitor-{n}") for n in range(visitors)]
    together = offerlog.suppressions_of(keys)
    return all(
        list(offerlog.local_suppressions(key.id).suppressions)
        == list(offerlog.suppressions(key.id))
        == list(together[key])
        for key in keys
    )


def test_it_answers_as_the_projection_does(local: Offerlog) -> None:
    """What was there before it, and what comes after; a stranger has nothing against him."""
    assert same(local, 210)
    position = number_of(local.record(journeys(280)).position)
    local.wait(position)
    until(lambda: local.local_suppressions("visitor-1").position >= position)
    assert same(local, 280)
    assert local.local_suppressions("stranger").suppressions == ()
    assert local.suppressions_of([VisitorKey("cookie", "stranger"), VisitorKey("email", "visitor-1")]) == {
        ("cookie", "stranger"): [],
        ("email", "visitor-1"): [],
    }
    assert local.local_suppressions("visitor-1", organization="elsewhere").suppressions == ()
    assert 0 <= local.local_suppressions("visitor-1").age < 5


def test_it_goes_on_from_where_it_was(local: Offerlog, dsn: str, folder: Path) -> None:
    """A file that an ended process left is caught up with the log, not copied again."""
    local.close()
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        service.wait(service.record(life("later", "offered", "accepted", "started", "engaged")).position)
    rows(dsn, "ALTER TABLE suppressions RENAME TO hidden")  # so a copy would fail
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False, replica=folder) as service:
        assert [one.state for one in service.local_suppressions("later").suppressions] == ["engaged"]
        assert service.local_suppressions("visitor-1").suppressions
    assert len(list(folder.iterdir())) == 1


def test_another_log_is_copied_anew(local: Offerlog, folder: Path, make_dsn) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - a fixture's callable
    """A folder that held one log's list never answers for another log."""
    local.close()
    with open_offerlog(database_url=make_dsn(), keep_deadlines=False, replica=folder) as other:
        assert other.local_suppressions("visitor-1").suppressions == ()


def test_a_log_that_has_lost_its_end_is_copied_anew(dsn: str, server: str, folder: Path) -> None:
    """It was restored from a backup: what it has recorded since stands where the replica has been already."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as before:
        before.wait(before.record(journeys(70)).position)
    restored = f"restored_{uuid.uuid4().hex[:12]}"
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{restored}" TEMPLATE "{name}"'.encode())
    try:
        for database, visitor in ((dsn, "lost"), (make_conninfo(server, dbname=restored), "since")):
            with open_offerlog(database_url=database, keep_deadlines=False) as service:
                service.wait(service.record(life(visitor, "offered", "rejected")).position)
            with open_offerlog(database_url=database, keep_deadlines=False, replica=folder) as service:
                assert service.local_suppressions(visitor).suppressions
        with open_offerlog(database_url=database, keep_deadlines=False, replica=folder) as service:
            assert not service.local_suppressions("lost").suppressions
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{restored}" WITH (FORCE)'.encode())


def test_what_is_read_while_it_is_emptied_is_no_answer(
    local: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To find nothing there says nothing about the visitor."""
    store = replica_store_of(local)
    look_up = store.look_up

    def emptied(digest: UUID) -> bytes | None:
        store.clear()
        return look_up(digest)

    assert local.local_suppressions("visitor-1").suppressions
    monkeypatch.setattr(store, "look_up", emptied)
    with pytest.raises(ReplicaStaleError):
        local.local_suppressions("visitor-1")


def test_after_a_crash_of_the_machine_it_is_made_anew(folder: Path) -> None:
    """What had reached the disk by then nobody knows, so none of it is believed."""
    first = ReplicaStore.open(folder)
    first.put((), 7, b"a log", b"")
    first.close()
    again = ReplicaStore.open(folder)
    assert again.position == 7
    again.close()
    (folder / "suppressions-0" / "boot").write_text("an earlier start of the machine")
    after = ReplicaStore.open(folder)
    assert after.position is None
    after.close()


def test_past_its_bound_it_refuses(dsn: str, folder: Path) -> None:
    """An event that cannot be read stops it, as that may be what must not be offered."""
    bound = timedelta(seconds=0.5)
    with open_offerlog(
        database_url=dsn, keep_deadlines=False, replica=folder, replica_max_age=bound
    ) as service:
        assert service.local_suppressions("x").suppressions == ()
        rows(dsn, "INSERT INTO offerlog_events (originator_id, originator_version, topic, state)"
             " VALUES (gen_random_uuid(), 1, 'vanished.7', '?')")  # fmt: skip
        time.sleep(1.0)
        with pytest.raises(ReplicaStaleError, match=r"vanished\.7") as caught:
            service.local_suppressions("x")
        assert caught.value.age is not None
        assert caught.value.age > 0.5
        rows(dsn, "DELETE FROM offerlog_events")
        until(lambda: _answers(service))


def test_behind_a_writer_that_hangs_it_grows_old(dsn: str, folder: Path) -> None:
    """It may not go past that writer, so it lacks what others record meanwhile, and says so."""
    bound = timedelta(seconds=0.5)
    with (
        open_offerlog(
            database_url=dsn, keep_deadlines=False, replica=folder, replica_max_age=bound
        ) as service,
        psycopg.connect(dsn) as hanging,
    ):
        hanging.execute("LOCK TABLE offerlog.offerlog_events IN ROW EXCLUSIVE MODE")
        service.record(life("visitor", "offered", "rejected"))
        time.sleep(1.0)
        with pytest.raises(ReplicaStaleError):
            service.local_suppressions("visitor")
        hanging.rollback()
        until(lambda: _answers(service))
        until(lambda: service.local_suppressions("visitor").suppressions)


def _answers(service: Offerlog) -> bool:
    try:
        return service.local_suppressions("x") is not None
    except ReplicaStaleError:
        return False


def test_two_processes_have_a_file_each_and_a_killed_one_leaves_a_usable_one(
    local: Offerlog, dsn: str, folder: Path
) -> None:
    """What it had reached is gone on with."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from offerlog_infrastructure.composition import open_offerlog\n"
        "service = open_offerlog(database_url=sys.argv[1], keep_deadlines=False, replica=Path(sys.argv[2]))\n"
        "print(len(service.local_suppressions('visitor-1').suppressions), flush=True); time.sleep(60)"
    )
    with LimitedProcess(
        [sys.executable, "-c", program, dsn, str(folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        assert len(list(folder.iterdir())) == 2
        os.kill(other.pid, posix.SIGKILL)
    with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as again:
        assert same(again, 210)
        assert len(list(folder.iterdir())) == 2
    assert same(local, 210)


def test_without_one_it_says_so(offerlog: Offerlog) -> None:
    """An answer from nowhere would be worse."""
    with pytest.raises(RuntimeError, match="replica"):
        offerlog.local_suppressions("visitor-1")


def test_what_is_archived_while_it_reads_is_not_missed(
    dsn: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that is behind looks into the archive behind each page, and copies anew."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as before:
        before.record(life("early", "offered"))
        until(lambda: before.local_suppressions("early").position >= before.position() > 0)
    with open_offerlog(database_url=dsn, keep_deadlines=False) as other:
        other.record(life("cold", "offered", "rejected"))
        other.record(life("last", "offered"))
        other.catch_up()
        assert other.evidence is not None
        other.evidence.catch_up()
        archiver = PostgresArchiver(application_of(other), SystemClock())

        def look_and_move(connection: Any) -> int:
            found = select_end(connection)
            archiver.move_up_to((1 << 40) - 1, str(tmp_path / "archive"), lambda _: None)
            return found

        monkeypatch.setattr("offerlog_infrastructure.replica.follower.select_end", look_and_move)
        # when
        with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as service:
            until(lambda: service.local_suppressions("last").position >= service.position())
            # then
            assert rows(dsn, "SELECT sum(events) FROM archived_files") == [(2,)]
            assert same_suppressions(service, "cold")


def same_suppressions(service: Offerlog, customer: str) -> bool:
    """Whether replica and projection have the same suppressions of a visitor, and any."""
    local = list(service.local_suppressions(customer).suppressions)
    return bool(local) and local == list(service.suppressions(customer))
