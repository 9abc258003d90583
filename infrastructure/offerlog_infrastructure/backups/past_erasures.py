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
            erased += tables.tombstones()
    missing = _read_list(source.folder, manifest, erased)
    if missing and source.later_store is None and not source.is_answered:
        raise NoErasuresError(missing)
    return erased


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
            raise NoErasuresError(missing)
    for folder in [] if source.folder is None else places_of_shards(source.folder):
        later = ErasureFile(folder).read()  # servers that were added since have lists as well
        erased += [] if later is None else later.erased
    return list(dict.fromkeys(erased))


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
