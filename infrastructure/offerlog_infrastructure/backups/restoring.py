"""The restore of a backup into a new data folder: verified, and without anybody who was erased since."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from offerlog_application.evidence.evidence import Evidence
from offerlog_application.evidence.verification import Verification
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.erasure import Tombstone
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.wording import format_count
from offerlog_domain.errors import OfferlogError
from offerlog_domain.transparency.notes import VerifierKey
from offerlog_infrastructure.archive.errors import ArchiveCopyError
from offerlog_infrastructure.backups.backup_file import BackupReader, Manifest
from offerlog_infrastructure.backups.errors import BackupFileError, NotTheSignedLogError
from offerlog_infrastructure.backups.making import MEBIBYTE
from offerlog_infrastructure.backups.past_erasures import ErasureSource, find_erasures
from offerlog_infrastructure.backups.programs import restore_dump
from offerlog_infrastructure.backups.signed_before import SignedBefore, compare_with_outside
from offerlog_infrastructure.embedded import EmbeddedServer
from offerlog_infrastructure.embedded.roles import DATABASE
from offerlog_infrastructure.embedded.staged_folder import staged_folder
from offerlog_infrastructure.evidence.checkpoint_folder import CheckpointFolder
from offerlog_infrastructure.evidence.signing_keys import check_signature
from offerlog_infrastructure.keyring.file_keyring import FileKeyring
from offerlog_infrastructure.postgres.backup.restored import RestoredTables
from offerlog_infrastructure.postgres.backup.restored_archive import copy_archive

_SEALING_SECONDS: Final = 600.0

ShowProgress = Callable[[RebuildProgress], None]


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """A restore.

    Attributes:
        file: The backup.
        data: The new data folder.
        keyring: The file with the keys of the store; None for the usual one.
        erasures: The list of erasures since the backup.
        schema: The schema of the store.
        open_service: Opens a service on a data folder, which must have a store, with this keyring.
        checkpoints: The folder of checkpoints outside of the store; None without one.
        archive: The place of the archive, if it is not where the store has it; None if it is.
        erase_more: Erases further visitors before anybody else can read; None for none.
        on_progress: Called with the progress: mebibytes of the file, then events, then visitors.
    """

    file: Path
    data: Path
    keyring: Path | None
    erasures: ErasureSource
    schema: str
    open_service: Callable[[Path], Offerlog]
    checkpoints: Path | None = None
    archive: str | None = None
    erase_more: Callable[[Offerlog], None] | None = None
    on_progress: ShowProgress = field(default=lambda _: None)


@dataclass(frozen=True, slots=True)
class RestoredStore:
    """A store that was restored.

    Attributes:
        manifest: That of the backup.
        events: Number of events that were compared with the tree.
        signed: Number of first events that a checkpoint speaks for.
        signatures_checked: True if the signatures of checkpoints were checked.
        position: Position of the last event now, behind the erasures.
        erased: Number of visitors who were erased again.
        signed_before: What was signed of this log before.
        archive: The folder with a copy of the archive, which is the restored store's; None without one.
    """

    manifest: Manifest
    events: int
    signed: int
    signatures_checked: bool
    position: int
    erased: int
    signed_before: SignedBefore
    archive: Path | None


def restore_backup(request: RestoreRequest) -> RestoredStore:
    """Restore a backup into a new data folder: verified, as a whole, or not at all.

    Raises:
        BackupFileError: The file cannot be read, was changed or is not whole.
        KeyringError: The keyring does not hold a key of the store.
        NoErasuresError: Nothing says who was erased since the backup.
        NotTheSignedLogError: The log in it is not the one that was signed.
        BackupProgramError: `pg_restore` has failed.
        StoreExistsError: There is a store in the folder.
        EmbeddedError: The folder or the embedded server cannot be used.
        ArchiveUnavailableError: A file of the archive is missing or was changed.
        ArchiveCopyError: The folder for its copy cannot be made, or is there already.
        OfferlogError: An erasure could not be repeated, or the folder of checkpoints cannot be read.
    """
    keyring = FileKeyring(request.keyring)
    with BackupReader(request.file) as backup:
        if backup.manifest.shard is not None:
            raise BackupFileError(
                request.file,
                f"is the part of shard {backup.manifest.shard} in the backup of several servers, which are"
                " restored together: give its folder",
            )
        for key_id in backup.manifest.keys:
            keyring.check_holds(key_id)
        keyring.check_outside(request.data)
        backup.check(_in_mebibytes(request, backup.manifest, "checking the file"))
        erased = find_erasures(request.erasures, backup.manifest, request.schema)
        with staged_folder(request.data) as staged, EmbeddedServer.acquire(staged) as server:
            with backup.dump() as dump:
                restore_dump(
                    server.environment, DATABASE, dump, _in_mebibytes(request, backup.manifest, "loading")
                )
            tables = RestoredTables(server.dsn, request.schema)
            tables.analyze()
            with (
                _copied_archive(request, backup.manifest, server.dsn) as replaced,
                request.open_service(staged) as service,
            ):
                return _make_ready(
                    service, tables, request, backup.manifest, erased, is_erased_first=replaced > 0
                )


def archive_of(data: Path) -> Path:
    """Return the folder for the archive of a store that is restored into a folder: beside it."""
    return data.with_name(f"{data.name}.archive")


@contextmanager
def _copied_archive(request: RestoreRequest, manifest: Manifest, dsn: str) -> Iterator[int]:
    """Copy the archive, if there is one; it goes again if the block fails.

    Yields:
        The number of its files that an erasure has replaced since the backup.
    """
    target = archive_of(request.data)
    if manifest.archive is None:
        yield 0
        return

    def on_file(done: int, total: int) -> None:
        request.on_progress(RebuildProgress("copying the archive", done, max(total, 1)))

    try:
        target.mkdir(mode=0o700)
    except OSError as error:
        raise ArchiveCopyError(target, error.strerror or str(error)) from error
    try:
        yield copy_archive(dsn, request.schema, request.archive, target, on_file)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _make_ready(
    service: Offerlog,
    tables: RestoredTables,
    request: RestoreRequest,
    manifest: Manifest,
    erased: list[Tombstone],
    *,
    is_erased_first: bool,
) -> RestoredStore:
    """Verify a restored log, erase again, and retire names under which more may have been signed.

    Archived events may be blanked already. Then the erasures come first: without them, a blanked event is a
    finding.
    """
    evidence = service.evidence
    assert evidence is not None  # noqa: S101 - a store has a tree
    tables.make_bi_views()
    evidence.catch_up(_SEALING_SECONDS)
    if evidence.tree.last_position() != manifest.position:
        raise NotTheSignedLogError(
            f"it ends at position {evidence.tree.last_position():,}, and not at {manifest.position:,}"
        )
    before, keys = compare_with_signed(evidence, request.checkpoints, manifest)
    count = erase_again(service, tables, erased) if is_erased_first else 0
    evidence.catch_up(_SEALING_SECONDS)
    report = Verification(evidence.tree, None, keys, check_signature, request.on_progress).run()
    if report.findings:
        raise NotTheSignedLogError(str(report.findings[0]))
    count += erase_again(service, tables, erased)
    if request.erase_more is not None:
        request.erase_more(service)
    for origin in sorted(before.unsafe):
        tables.retire(origin, UUID(manifest.id), before.newest.get(origin))
    service.catch_up()
    return RestoredStore(
        manifest,
        report.events,
        report.signed,
        report.signatures_checked,
        service.position(),
        count,
        before,
        None if manifest.archive is None else archive_of(request.data),
    )


def compare_with_signed(
    evidence: Evidence, checkpoints: Path | None, manifest: Manifest
) -> tuple[SignedBefore, Sequence[VerifierKey]]:
    """Compare the tree of a restored log with all that was signed of it.

    Args:
        evidence: That of the log.
        checkpoints: The folder of checkpoints outside of the store; None without one.
        manifest: That of the backup.

    Returns:
        What was signed before, and the keys by which to check signatures; none if they are not here.

    Raises:
        NotTheSignedLogError: The log is not the one that was signed.
    """
    archive = None if checkpoints is None else CheckpointFolder(checkpoints)
    own_name = evidence.signer_name()
    before = compare_with_outside(evidence.tree, archive, own_name, manifest.checkpoint)
    keys: list[VerifierKey] = []
    if before.origins == {own_name} and (signer := evidence.find_signer()) is not None:
        keys = [signer.key]
    return before, keys


def erase_again(service: Offerlog, tables: RestoredTables, erased: list[Tombstone]) -> int:
    """Erase those visitors of the list who are in the store again; returns their number.

    Raises:
        OfferlogError: One of them could not be erased.
    """
    living = tables.find_living(erased)
    tables.lift_holds([digest for digests in living.values() for digest in digests])
    number = service.erasure_repetition.repeat([one.token for one in erased if one.token is not None])
    tables.delete_texts_without_visitor(erased)
    if number:
        service.remove_remains(rewrite=True)  # nobody else is here whom it could lock out
    left = sum(map(len, tables.find_living(erased).values()))
    if left:
        raise OfferlogError(
            f"{format_count(left, 'visitor')} could not be erased again, so the backup is not restored"
        )
    return number


def _in_mebibytes(request: RestoreRequest, manifest: Manifest, stage: str) -> Callable[[int], None]:
    total = max(manifest.dump_bytes // MEBIBYTE, 1)
    return lambda size: request.on_progress(RebuildProgress(stage, min(size // MEBIBYTE, total), total))
