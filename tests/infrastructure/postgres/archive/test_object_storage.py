"""An archive in object storage: written, read, blanked, and removed there."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from errno import ENOSPC
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest

from offerlog import Offerlog, open_offerlog
from offerlog.testing import SettableClock
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.archive.errors import (
    ArchiveElsewhereError,
    ArchiveUnavailableError,
    ArchiveWriteError,
)
from offerlog_infrastructure.archive.event_files import EventTable
from offerlog_infrastructure.archive.object_places import ArchiveObjects
from offerlog_infrastructure.archive.places import ArchiveFolder, open_place
from support.installations import make_stores, move_slice, owners_of, visitors_of_slice
from support.internals import application_of
from support.journeys import DAY, an_id, journeys
from support.shard_archives import archive_store


@pytest.fixture
def bucket() -> Iterator[str]:
    """The URL of a place in memory."""
    name = uuid4().hex
    yield f"memory://{name}"
    files = fsspec.filesystem("memory")
    if files.exists(f"/{name}"):
        files.rm(f"/{name}", recursive=True)


def names(bucket: str) -> set[str]:
    """The objects in the place."""
    place = open_place(bucket)
    return {name for number in range(16) for name in place.names(f"slice={number:02}/")}


def write_until_full(folder: ArchiveFolder, name: str, data: bytes, write: Any = ArchiveFolder.write) -> None:
    """Write a part of a file of events, and then the disk is full."""
    write(folder, name, data[:10])
    if name.startswith("slice="):
        raise OSError(ENOSPC, "No space left on device")


def test_object_storage_holds_an_archive(
    make_dsn: Callable[[], str], bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An object that is gone is an error that names it; one that an erasure replaces is removed."""
    clock = SettableClock(DAY + timedelta(hours=1))
    with open_offerlog(database_url=make_dsn(), clock=clock, keep_deadlines=False) as service:
        # given
        service.record(journeys(14))
        clock.advance(timedelta(days=100))
        service.record(journeys(15))
        service.catch_up()
        assert service.evidence is not None
        service.evidence.catch_up()
        before = list(service.feed.events(identified=True))
        # when a run that moves nothing has named another place, which binds nobody
        assert service.archiver is not None
        elsewhere = bucket.replace("memory://", "memory://not-")
        assert service.archiver.move(timedelta(days=900), elsewhere, lambda _: None).files == 0
        assert service.archiver.figures().place == elsewhere
        # and runs into places that cannot be written, which bind nobody and leave nothing
        with monkeypatch.context() as disk:
            disk.setattr(ArchiveFolder, "write", write_until_full)
            for place in (Path("/proc/nowhere"), tmp_path):
                with pytest.raises(ArchiveWriteError, match="nothing can be written to"):
                    service.archiver.move(timedelta(days=90), str(place), lambda _: None)
        assert not [one for one in tmp_path.rglob("*") if one.is_file()]
        part = service.archiver.move(timedelta(days=90), bucket, lambda _: None)
        # then
        made = names(bucket)
        assert len(made) == part.files > 1
        assert service.archiver.figures().place == bucket
        with pytest.raises(ArchiveElsewhereError, match="the archive of this store is in"):
            service.archiver.move(timedelta(days=90), elsewhere, lambda _: None)
        with open_offerlog(database_url=application_of(service).dsn, clock=clock) as other:
            assert list(other.feed.events(identified=True)) == before
        # and when a visitor is erased
        service.erase(customer_id="visitor-1")
        left = names(bucket)
        assert (len(left), len(made - left)) == (len(made), 1)
        # and when an object is gone
        for name in left:
            open_place(bucket).remove(name)
        with (
            open_offerlog(database_url=application_of(service).dsn, clock=clock) as third,
            pytest.raises(ArchiveUnavailableError, match="there is no such file"),
        ):
            third.history(customer_id="visitor-8", action_map_id=an_id("map", 2))


def test_a_slice_moves_from_one_place_to_another(
    make_dsn: Callable[[], str], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other server has a part of the bucket; if the storage fails, nothing is left there."""
    with make_stores(make_dsn, "8-f") as stores, stores.open() as service:
        # given
        service.record(journeys(20))
        home, there = service.services_of_servers()[0], f"{bucket}/shard-1"
        assert isinstance(home, Offerlog)
        assert archive_store(home, bucket)
        number = int(min(names(bucket)).split("/")[0].removeprefix("slice="))
        of_slice = {name for name in names(bucket) if name.startswith(f"slice={number:02}/")}
        visitor = _find_archived(bucket, min(of_slice), service)
        before = service.history(customer_id=f"visitor-{visitor}", action_map_id=an_id("map", visitor % 3))
        # when the storage fails
        with monkeypatch.context() as patched:
            patched.setattr(ArchiveObjects, "read", _fail)
            with pytest.raises(ArchiveUnavailableError, match=r"be read from .*no route to the storage"):
                move_slice(stores, number, 1)
        with monkeypatch.context() as patched:
            patched.setattr(ArchiveObjects, "write", _fail)
            with pytest.raises(ArchiveUnavailableError, match=r"be written to .*no route to the storage"):
                move_slice(stores, number, 1)
        assert (owners_of(stores, number), names(there)) == ([0], set())
        # and when it works
        move_slice(stores, number, 1)
        # then
        assert len(names(there)) == len(of_slice)
        assert not names(bucket) & of_slice
        after = service.history(customer_id=f"visitor-{visitor}", action_map_id=an_id("map", visitor % 3))
        assert after == before
        # and an erasure finds them
        moved = names(there)
        service.erase(customer_id=f"visitor-{visitor}")
        assert (len(names(there)), len(moved - names(there))) == (len(moved), 1)


def _find_archived(place: str, name: str, service: ShardedOfferlog) -> int:
    """Return a visitor with events in a file."""
    tokens = {token_of(row[1]) for row in EventTable(open_place(place).read(name)).all()}
    for one in visitors_of_slice(service, int(name[6:8]), 20):
        for row in service.visitor_data(customer_id=one):
            if row.place == "offerlog_events" and token_of(row.fields["stream"]) in tokens:
                return int(one.removeprefix("visitor-"))
    raise AssertionError(name)


def _fail(*_: object) -> bytes:
    raise OSError("no route to the storage")


def test_a_place_that_cannot_be_opened_is_not_taken(make_dsn: Callable[[], str]) -> None:
    """The store has no archive afterwards, so nobody looks for one."""
    with open_offerlog(database_url=make_dsn(), keep_deadlines=False) as service:
        assert service.archiver is not None
        with pytest.raises(ArchiveUnavailableError, match="nosuch"):
            service.archiver.move(timedelta(days=90), "nosuch://bucket/offerlog", lambda _: None)
        assert service.archiver.figures().place is None
