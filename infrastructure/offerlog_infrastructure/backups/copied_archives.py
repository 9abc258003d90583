"""The archives of restored servers: copies in a new folder, so that the former servers keep theirs.

A folder for a copy has a mark until the restore is done. So a restore that was killed may clear it, and
nothing else is ever cleared.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.archive.errors import ArchiveCopyError
from offerlog_infrastructure.archive.places import is_url, place_of_server
from offerlog_infrastructure.backups.backup_file import Manifest
from offerlog_infrastructure.backups.errors import BackupFileError
from offerlog_infrastructure.backups.restored_servers import ServersRequest
from offerlog_infrastructure.postgres.backup.restore_target import RestoreTarget
from offerlog_infrastructure.postgres.backup.restored_archive import (
    copy_archive,
    forget_archive,
    is_archive_at,
)

_MARK: Final = ".restoring"
"""A file with the id of the backup, in each folder for a copy until the restore is done."""


def check_folders(request: ServersRequest, manifests: Mapping[int, Manifest]) -> None:
    """Check that each archive can be copied, before anything is made.

    Raises:
        BackupFileError: There are archived files, and no new folder for copies.
        ArchiveCopyError: A folder cannot be read.
    """
    with_files = {number: one for number, one in manifests.items() if one.archived_files}
    if with_files and request.archive_copy is None:
        raise BackupFileError(
            request.folder.path,
            "needs the files of an archive, of which the restored servers get a copy: name a new folder"
            " for it with --archive-copy",
        )
    sources = {
        Path(place).resolve()
        for number, manifest in with_files.items()
        for place in (manifest.archive, place_of_server(request.archive, number))
        if place is not None and not is_url(place)
    }
    for folder, manifest in _folders(request, with_files):
        if folder.resolve() in sources:
            raise BackupFileError(
                request.folder.path,
                f"has its archive in {folder}, which stays as it is: name a new folder with --archive-copy",
            )
        try:
            if folder.exists() and any(folder.iterdir()) and not _is_marked(folder, manifest):
                raise BackupFileError(
                    request.folder.path,
                    f"needs a folder for the copy of its archive, and {folder} is not empty, as that of a"
                    " restored store: name a new folder with --archive-copy",
                )
        except OSError as error:
            raise ArchiveCopyError(folder, error.strerror or str(error)) from error


def copy_archives(
    request: ServersRequest, targets: Mapping[int, RestoreTarget], manifests: Mapping[int, Manifest]
) -> None:
    """Copy the archive of each loaded server that has files in one into its part of the folder.

    Raises:
        ArchiveCopyError: A folder cannot be made.
        ArchiveUnavailableError: A file is missing or was changed.
    """
    for number, manifest in manifests.items():
        if not manifest.archived_files:
            forget_archive(targets[number].dsn, request.schema)
            continue
        ((folder, _),) = _folders(request, {number: manifest})
        dsn, stage = targets[number].dsn, f"shard {number}: copying the archive"
        if is_archive_at(dsn, request.schema, folder):
            continue  # an interrupted restore has done so

        def on_file(done: int, total: int, stage: str = stage) -> None:
            request.on_progress(RebuildProgress(stage, done, max(total, 1)))

        try:
            if _is_marked(folder, manifest):
                shutil.rmtree(folder)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / _MARK).write_text(manifest.id)
        except OSError as error:
            raise ArchiveCopyError(folder, error.strerror or str(error)) from error
        try:
            copy_archive(dsn, request.schema, place_of_server(request.archive, number), folder, on_file)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def remove_marks(request: ServersRequest, manifests: Mapping[int, Manifest]) -> None:
    """Remove the marks of the folders: the restore is done."""
    for folder, manifest in _folders(request, manifests):
        if _is_marked(folder, manifest):
            (folder / _MARK).unlink()


def _folders(request: ServersRequest, manifests: Mapping[int, Manifest]) -> Iterator[tuple[Path, Manifest]]:
    """List the folder for the copy of each server."""
    for number, manifest in manifests.items():
        copy = None if request.archive_copy is None else str(request.archive_copy)
        if place := place_of_server(copy, number):
            yield Path(place), manifest


def _is_marked(folder: Path, manifest: Manifest) -> bool:
    try:
        return (folder / _MARK).read_text() == manifest.id
    except FileNotFoundError:
        return False
