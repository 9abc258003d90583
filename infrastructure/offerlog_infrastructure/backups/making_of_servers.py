"""The making of a backup of several servers, while services run: one moment of all of them."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple
from uuid import uuid4

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_domain.stream_ids import format_slices
from offerlog_infrastructure.backups.backup_file import BackupWriter, Manifest
from offerlog_infrastructure.backups.backup_folder import BackupFolder, BackupList, BackupPart
from offerlog_infrastructure.backups.making import (
    BackupPlace,
    list_erasures,
    note_backup,
    reached_store,
    write_backup,
)
from offerlog_infrastructure.postgres.backup.servers import find_servers, open_snapshots
from offerlog_infrastructure.shard_places import place_of_shard


class MadeFolder(NamedTuple):
    """A backup of several servers that is in its place.

    Attributes:
        servers: The list of its parts.
        manifests: What each part holds, by the number of the server.
        sha256: SHA-256 of the list, hexadecimal.
    """

    servers: BackupList
    manifests: dict[int, Manifest]
    sha256: str


def is_of_several(store: BackupPlace) -> bool:
    """Return True if a store is the home of several.

    Raises:
        ShardError: It is another one of them.
        OfferlogError: It cannot be reached; see `make_backup`.
    """
    with reached_store(store) as dsn:
        return bool(find_servers(dsn, store.schema))


def make_backup_of_servers(
    folder: BackupFolder,
    store: BackupPlace,
    *,
    replace: bool = False,
    on_progress: Callable[[RebuildProgress], None] = lambda _: None,
) -> MadeFolder:
    """Back up all servers of an installation: as a whole, or not at all. Services may run.

    If it ends early, the folder has what it had before, and parts that the next backup there removes.

    Args:
        folder: The folder to make.
        store: The home.
        replace: True to replace a backup that is there.
        on_progress: Called with the mebibytes of the present server so far.

    Raises:
        ShardUnavailableError: A server cannot be reached, or a slice moves.
        ShardError: A slice is on its way, or a server was added meanwhile.
        OfferlogError: See `make_backup`.
    """
    backup = str(uuid4())
    with ExitStack() as held:
        held.enter_context(folder.filled(replace=replace))
        dsn = held.enter_context(reached_store(store))
        lists = {
            number: list_erasures(store.checkpoints and place_of_shard(store.checkpoints, number))
            for number in find_servers(dsn, store.schema)
        }
        snapshots = held.enter_context(open_snapshots(dsn, store.schema))
        for number, erasures in lists.items():
            if erasures is not None:
                erasures.add(snapshots[number].tombstones)
        manifests: dict[int, Manifest] = {}
        parts = []
        for number, snapshot in snapshots.items():
            place = folder.place_of(backup, number)
            with BackupWriter(place, replace=False) as writer:
                made = write_backup(writer, snapshot, store.schema, backup, on_progress, shard=number)
            manifests[number] = made.manifest
            slices = format_slices(snapshot.held.owned)
            size = place.stat().st_size
            parts.append(
                BackupPart(
                    number, place.name, made.sha256, size, slices, snapshot.position, snapshot.tree_size
                )
            )
        first = min(one.made_at for one in manifests.values())
        servers = BackupList(backup, first, manifests[0].offerlog, parts)
        digest = folder.finish(servers)
        for part in parts:
            note_backup(snapshots[part.shard], store.schema, part.bytes)
    return MadeFolder(servers, manifests, digest)
