"""The making of a backup, while services run."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.backups.backup_file import BackupWriter, Manifest
from offerlog_infrastructure.backups.programs import dump_schema
from offerlog_infrastructure.embedded import EmbeddedServer, default_data_dir
from offerlog_infrastructure.embedded.address import as_environment
from offerlog_infrastructure.evidence.erasure_file import ErasureFile
from offerlog_infrastructure.postgres.backup.snapshot import StoreSnapshot, open_snapshot
from offerlog_infrastructure.postgres.status.last_backup import record_backup
from offerlog_infrastructure.server_address import check_address

_log = logging.getLogger(__name__)

MEBIBYTE: Final = 1 << 20


class BackupPlace(NamedTuple):
    """The store to back up, and the folder outside of it.

    Attributes:
        schema: The schema of the store.
        data: The embedded store's folder; None for the usual one. Not used with `database_url`.
        database_url: Your own server; None for the embedded store.
        checkpoints: The folder of checkpoints, where the list of erasures is kept; None without one.
    """

    schema: str
    data: Path | None
    database_url: str | None
    checkpoints: Path | None


class MadeBackup(NamedTuple):
    """A backup that is in its place.

    Attributes:
        manifest: What it holds.
        sha256: SHA-256 of the file, hexadecimal.
    """

    manifest: Manifest
    sha256: str


def make_backup(
    file: Path,
    store: BackupPlace,
    *,
    replace: bool = False,
    on_progress: Callable[[RebuildProgress], None] = lambda _: None,
) -> MadeBackup:
    """Back up a store: as a whole, or not at all. Services may run.

    Args:
        file: The file to make.
        store: The store.
        replace: True to replace a file that is there.
        on_progress: Called with the mebibytes so far. Their total is an estimate.

    Raises:
        BackupFileError: The file is there already, or cannot be written.
        BackupProgramError: `pg_dump` has failed.
        StoreMissingError: There is no store.
        OtherSchemaError: The store is of another version.
        NotOverShardsError: The store is one of several.
        CheckpointFolderError: The list of erasures cannot be written.
        StoreUnavailableError: The store cannot be reached.
        EmbeddedError: The embedded server cannot be started.
        ServerAddressError: The address cannot be read.
    """
    with BackupWriter(file, replace=replace) as writer, reached_store(store) as dsn:
        erasures = list_erasures(store.checkpoints)
        with open_snapshot(dsn, store.schema) as snapshot:
            if erasures is not None:
                erasures.add(snapshot.tombstones)
            made = write_backup(writer, snapshot, store.schema, str(uuid4()), on_progress)
            note_backup(snapshot, store.schema, file.expanduser().stat().st_size)
            return made


@contextmanager
def reached_store(store: BackupPlace) -> Iterator[str]:
    """Start the embedded server of a store during a block, if it has one; yields the connection string.

    Raises:
        StoreMissingError: There is no store in the data folder.
        EmbeddedError: The embedded server cannot be started.
        ServerAddressError: The address cannot be read.
    """
    with ExitStack() as held:
        dsn = store.database_url
        if dsn is None:
            folder = default_data_dir() if store.data is None else store.data
            dsn = held.enter_context(EmbeddedServer.acquire(folder, create=False)).dsn
        check_address(dsn)
        yield dsn


def list_erasures(checkpoints: Path | None) -> ErasureFile | None:
    """Return the list of erasures in a folder of checkpoints, which is kept from now on; None without one.

    To be called before a snapshot: whoever is erased behind it is in the list.

    Raises:
        CheckpointFolderError: It cannot be written.
    """
    if checkpoints is None:
        return None
    erasures = ErasureFile(checkpoints)
    erasures.begin()
    return erasures


def write_backup(
    writer: BackupWriter,
    snapshot: StoreSnapshot,
    schema: str,
    backup: str,
    on_progress: Callable[[RebuildProgress], None],
    *,
    shard: int | None = None,
) -> MadeBackup:
    """Write the backup of one store, as its snapshot shows it.

    Args:
        writer: Writes the file.
        snapshot: The snapshot.
        schema: The schema of the store.
        backup: The id of the backup.
        on_progress: Called with the mebibytes so far. Their total is an estimate.
        shard: The number of the server, if it is one of several.

    Raises:
        BackupFileError: The file cannot be written.
        BackupProgramError: `pg_dump` has failed.
    """
    environment = {"PATH": os.defpath, **as_environment(snapshot.dsn)}
    total = max(snapshot.table_bytes // MEBIBYTE, 1)
    stage = "writing" if shard is None else f"shard {shard}: writing"

    def on_bytes(size: int) -> None:
        done = size // MEBIBYTE
        on_progress(RebuildProgress(stage, done, max(total, done)))

    with dump_schema(environment, schema, snapshot.name) as dump:
        writer.write_dump(dump, on_bytes)
    manifest = Manifest(
        id=backup,
        made_at=snapshot.taken_at.astimezone(UTC).isoformat(),
        offerlog=version("offerlog"),
        postgres=snapshot.server,
        migration=snapshot.migration,
        position=snapshot.position,
        tree_size=snapshot.tree_size,
        checkpoint=snapshot.checkpoint,
        keys=tuple(snapshot.key_ids),
        archive=snapshot.archive,
        archived_files=snapshot.archived_files,
        shard=shard,
    )
    return MadeBackup(manifest, writer.finish(manifest))


def note_backup(snapshot: StoreSnapshot, schema: str, size: int) -> None:
    """Record in the store that the backup was made; it is made, whether or not that can be recorded."""
    try:
        record_backup(snapshot.dsn, schema, snapshot.taken_at, snapshot.position, size)
    except StoreUnavailableError as error:
        _log.warning("the backup is made, and the store could not record its time: %s", error)
