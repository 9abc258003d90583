"""Archives of several servers: all that is cold goes into files, and no place has a file too many."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from offerlog import Offerlog
from offerlog_application.ports.slices import StoredRow
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_infrastructure.archive.event_files import EventTable
from offerlog_infrastructure.archive.places import place_of_server
from support.installations import Stores
from support.moved_slices import settle
from support.recount import rows

_ALL: Final = timedelta(days=-36_500)
"""Nothing is younger: whoever archives by it moves what is cold, whatever its age."""


_SELECT_EVENTS: Final = (
    "SELECT notification_id, originator_id, originator_version, topic, state FROM offerlog_events"
)


def archive_store(service: Offerlog, place: str) -> int:
    """Archive what is cold on a server, whatever its age; returns the number of events."""
    service.catch_up()
    assert service.evidence is not None
    service.evidence.catch_up()
    assert service.archiver is not None
    return service.archiver.move(_ALL, place, lambda _: None).events


def archive_servers(service: ShardedOfferlog, folder: Path) -> list[int]:
    """Archive what is cold on each server; returns the numbers of events."""
    settle(service)
    moved = []
    for number, one in service.services_of_servers().items():
        assert isinstance(one, Offerlog)
        moved.append(archive_store(one, str(place_of_server(str(folder), number))))
    return moved


def files_of(folder: Path, number: int) -> set[str]:
    """The names of the files in the place of a server."""
    place = Path(str(place_of_server(str(folder), number)))
    return {str(one.relative_to(place)) for one in place.glob("slice=*/*")}


def events_of(stores: Stores, folder: Path) -> list[StoredRow]:
    """All events of the servers, in table and files, by stream and version."""
    found: list[StoredRow] = []
    for number, address in enumerate(stores.dsns):
        found += rows(address, _SELECT_EVENTS)
        for name in files_of(folder, number):
            found += _read_file(folder, number, name)
    return sorted(found, key=lambda row: (row[1], row[2], row[0]))


def check_logs(stores: Stores, folder: Path) -> None:
    """Each file has events of one slice and one log, and its parts are the parts of streams that it has."""
    for number, address in enumerate(stores.dsns):
        parts: list[tuple[Any, ...]] = []
        for file, name in rows(address, "SELECT number, name FROM archived_files"):
            found = _read_file(folder, number, name)
            assert len({(row[0] >> 40, row[1].int >> 124) for row in found}) == 1
            places = {(row[1], row[2]) for row in found}
            parts += [(stream, last, file) for stream, last in places if (stream, last + 1) not in places]
        assert sorted(parts) == rows(
            address, "SELECT originator_id, last_version, file FROM settled ORDER BY 1, 2"
        )


def _read_file(folder: Path, number: int, name: str) -> list[StoredRow]:
    return EventTable((Path(str(place_of_server(str(folder), number))) / name).read_bytes()).all()


def check_places(stores: Stores, folder: Path) -> None:
    """Each place has the files that its server names, and nothing is left to remove."""
    for number, address in enumerate(stores.dsns):
        assert files_of(folder, number) == {
            name for (name,) in rows(address, "SELECT name FROM archived_files")
        }
        assert rows(address, "SELECT name FROM archive_leftovers") == []
        assert rows(address, "SELECT slice FROM arrived_slices") == []
        without = "SELECT count(*) FROM settled WHERE file NOT IN (SELECT number FROM archived_files)"
        assert rows(address, without) == [(0,)]
