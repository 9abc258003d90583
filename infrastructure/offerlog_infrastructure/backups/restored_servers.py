"""The request for the restore of several servers, and its result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from offerlog_application.evidence.findings import AuditReport
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.shards import Directory
from offerlog_infrastructure.backups.backup_file import Manifest
from offerlog_infrastructure.backups.backup_folder import BackupFolder, BackupList
from offerlog_infrastructure.backups.past_erasures import ErasureSource
from offerlog_infrastructure.backups.signed_before import SignedBefore
from offerlog_infrastructure.keyring.file_keyring import FileKeyring


@dataclass(frozen=True, slots=True, kw_only=True)
class ServersRequest:
    """A restore of several servers.

    Attributes:
        folder: The backup.
        home: The address of an empty database for the home.
        urls: Those for the other servers, in the order of their numbers, without passwords.
        keyring: The keys of the stores.
        erasures: The lists of erasures since the backup.
        schema: The schema of the stores.
        open_service: Opens the service over the restored servers, by the directory that the home will have.
        find_faults: Returns what does not fit among them, in words, by the same directory.
        checkpoints: The folder of checkpoints of the home; None without one.
        archive: The place of the archive, if it is not where the home had it; None if it is.
        archive_copy: The folder for the copy of the archive; None if the backup has no archived files.
        erase_more: Erases further visitors before anybody else can read; None for none.
        on_progress: Called with the progress of each server.
    """

    folder: BackupFolder
    home: str
    urls: Sequence[str]
    keyring: FileKeyring
    erasures: ErasureSource
    schema: str
    open_service: Callable[[Directory], Offerlog]
    find_faults: Callable[[Directory], Sequence[str]]
    checkpoints: Path | None = None
    archive: str | None = None
    archive_copy: Path | None = None
    erase_more: Callable[[Offerlog], None] | None = None
    on_progress: Callable[[RebuildProgress], None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True)
class RestoredServer:
    """A server that was restored.

    Attributes:
        manifest: That of its part.
        slices: Its slices.
        report: The comparison of its log with its tree.
        position: Position of its last event now, behind the erasures.
        erased: Number of visitors who were erased again on it.
        signed_before: What was signed of its log before.
    """

    manifest: Manifest
    slices: Sequence[int]
    report: AuditReport
    position: int
    erased: int
    signed_before: SignedBefore


@dataclass(frozen=True, slots=True)
class RestoredServers:
    """Servers that were restored.

    Attributes:
        made: The list of the backup.
        servers: Each server by its number.
    """

    made: BackupList
    servers: Mapping[int, RestoredServer]
