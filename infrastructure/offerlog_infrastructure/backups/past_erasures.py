"""The visitors who were erased since a backup: from a list outside of the store, or from a later store."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from offerlog_application.ports.erasure import Tombstone
from offerlog_infrastructure.backups.backup_file import Manifest
from offerlog_infrastructure.backups.errors import NoErasuresError
from offerlog_infrastructure.embedded import EmbeddedServer
from offerlog_infrastructure.evidence.erasure_file import ErasureFile
from offerlog_infrastructure.postgres.backup.restored import RestoredTables
from offerlog_infrastructure.shard_places import place_of_shard, places_of_shards


@dataclass(frozen=True, slots=True)
class ErasureSource:
    """The places where the erasures since a backup are known. All of them count.

    Attributes:
        folder: A folder of checkpoints with a list of erasures; None without one.
        later_store: The data folder of a later state of the store; None without one.
        is_answered: True if the operator says that nobody was erased, or names the visitors.
    """

    folder: Path | None = None
    later_store: Path | None = None
    is_answered: bool = False


def find_erasures(source: ErasureSource, manifest: Manifest, schema: str) -> list[Tombstone]:
    """Return the erasures that must be repeated; some of them may be older than the backup.

    Args:
        source: Where they are known.
        manifest: That of the backup.
        schema: The schema of a store.

    Raises:
        NoErasuresError: Nothing says who was erased since the backup; or the later store does not.
        CheckpointFolderError: The list cannot be read.
        EmbeddedError: The later store cannot be started.
    """
    erased: list[Tombstone] = []
    if source.later_store is not None:
        with EmbeddedServer.acquire(source.later_store, create=False) as server:
            tables = RestoredTables(server.dsn, schema)
            if not tables.keeps_erasures():
                raise NoErasuresError(
                    f"the store in {source.later_store} has no list of erasures: an older offerlog made it,"
                    " and no newer one has opened it since"
                )
            if tables.is_shard():
                raise NoErasuresError(
                    f"the store in {source.later_store} is one of several servers by now, and lists only"
                    " the erasures of its own visitors; the folders of checkpoints list those of all",
                    accepts_later_store=False,
                )
            erased += tables.tombstones()
    missing = _read_list(source.folder, manifest, erased)
    erased += _read_lists_of_shards(source)
    if missing and source.later_store is None and not source.is_answered:
        raise NoErasuresError(missing)
    return list(dict.fromkeys(erased))


def find_erasures_of_servers(source: ErasureSource, manifests: Mapping[int, Manifest]) -> list[Tombstone]:
    """Return the erasures of all servers that must be repeated on each: a slice may have moved since.

    Args:
        source: Where they are known: the folder is that of the home; those of the others are beside it.
        manifests: Those of the parts of the backup, by the number of the server.

    Raises:
        NoErasuresError: The list of a server is missing, or does not reach back to the backup.
        CheckpointFolderError: A list cannot be read.
    """
    erased: list[Tombstone] = []
    for number, manifest in manifests.items():
        folder = source.folder and place_of_shard(source.folder, number)
        missing = _read_list(folder, manifest, erased)
        if missing and not source.is_answered:
            raise NoErasuresError(missing, accepts_later_store=False)
    erased += _read_lists_of_shards(source)
    return list(dict.fromkeys(erased))


def _read_lists_of_shards(source: ErasureSource) -> list[Tombstone]:
    """Return what the lists beside that of the home have: servers may have been added since the backup."""
    places = [] if source.folder is None else places_of_shards(source.folder)
    lists = [ErasureFile(folder).read() for folder in places]
    return [one for found in lists if found is not None for one in found.erased]


def _read_list(folder: Path | None, manifest: Manifest, erased: list[Tombstone]) -> str:
    """Add the erasures of a list; returns what is wrong with it, nothing if it reaches back to the backup."""
    if folder is None:
        return "there is no list of erasures, as OFFERLOG_CHECKPOINTS is not set"
    listed = ErasureFile(folder).read()
    if listed is None:
        return f"there is no list of erasures in {folder}"
    erased += listed.erased
    if listed.kept_since <= datetime.fromisoformat(manifest.made_at):
        return ""
    since = listed.kept_since.isoformat()
    return f"the list of erasures in {folder} is kept since {since} only; the backup is of {manifest.made_at}"
