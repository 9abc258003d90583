"""Archives of several servers: all that is cold goes into files, and no place has a file too many."""

from pathlib import Path
from typing import Final

from offerlog import Offerlog
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_infrastructure.archive.places import place_of_server
from offerlog_infrastructure.postgres.archive.archiver import PostgresArchiver
from support.installations import Stores
from support.moved_slices import settle
from support.recount import rows

_ALL: Final = (1 << 62) - 1


def archive_store(service: Offerlog, place: str) -> int:
    """Archive what is cold on a server, whatever its age; returns the number of events."""
    service.catch_up()
    assert service.evidence is not None
    service.evidence.catch_up()
    assert isinstance(service.archiver, PostgresArchiver)
    return service.archiver.move_up_to(_ALL, place, lambda _: None).events


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
