"""The archives of restored servers: copies in a new folder, so that the former servers keep theirs.

A folder for a copy has a mark until the restored store names it as its archive. The mark is the id of the
installation that the restored servers will be. A restore that was killed goes on with the same id. So it may
clear its own half copy, and nothing else is ever cleared: not that of another restore of the same backup
either.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.archive.errors import ArchiveCopyError
from offerlog_infrastructure.archive.places import home_place_of, is_url, place_of_server
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
"""A file with the id of the installation to be, in each folder whose copy is not complete."""


def check_folders(
    request: ServersRequest,
    targets: Mapping[int, RestoreTarget],
    manifests: Mapping[int, Manifest],
    installation: UUID | None,
) -> None:
    """Check that each archive can be copied, before anything is made.

    Args:
        request: The restore.
        targets: The databases that are restored into.
        manifests: What each part of the backup holds.
        installation: The id of the installation to be, of a restore that goes on; None for a new one.

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
    for number in with_files:
        (folder,) = _folders(request, [number])
        if folder.resolve() in sources:
            raise BackupFileError(
                request.folder.path,
                f"has its archive in {folder}, which stays as it is: name a new folder with --archive-copy",
            )
        try:
            mark = _read_mark(folder)
            if mark is not None and mark != str(installation):
                raise BackupFileError(
                    request.folder.path,
                    f"needs a folder for the copy of its archive, and another restore that has not ended has"
                    f" its copy in {folder}: name a new folder with --archive-copy, or go on with that one",
                )
            if (
                mark is None
                and folder.exists()
                and any(folder.iterdir())
                and not is_archive_at(targets[number].dsn, request.schema, folder)  # this one has copied it
            ):
                raise BackupFileError(
                    request.folder.path,
                    f"needs a folder for the copy of its archive, and {folder} is not empty, as that of a"
                    " restored store: name a new folder with --archive-copy",
                )
        except OSError as error:
            raise ArchiveCopyError(folder, error.strerror or str(error)) from error


def copy_archives(
    request: ServersRequest,
    targets: Mapping[int, RestoreTarget],
    manifests: Mapping[int, Manifest],
    installation: UUID,
) -> None:
    """Copy the archive of each loaded server that has files in one into its part of the folder.

    Raises:
        ArchiveCopyError: A folder cannot be made, or another restore has taken it meanwhile.
        ArchiveUnavailableError: A file is missing or was changed.
    """
    for number, manifest in manifests.items():
        if not manifest.archived_files:
            forget_archive(targets[number].dsn, request.schema)
            continue
        (folder,) = _folders(request, [number])
        dsn, stage = targets[number].dsn, f"shard {number}: copying the archive"

        def on_file(done: int, total: int, stage: str = stage) -> None:
            request.on_progress(RebuildProgress(stage, done, max(total, 1)))

        # An interrupted restore may have copied it, and removed the copy again: an answer can be lost.
        if not folder.is_dir() or not is_archive_at(dsn, request.schema, folder):
            _take_folder(folder, installation)
            try:
                places = _places(request, manifests)
                own = places.pop(number, None)
                copy_archive(dsn, request.schema, own, folder, on_file, others=[*places.values()])
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        try:
            (folder / _MARK).unlink(missing_ok=True)  # now that the store names the folder
        except OSError as error:
            raise ArchiveCopyError(folder, error.strerror or str(error)) from error


def _take_folder(folder: Path, installation: UUID) -> None:
    """Make the folder for a copy and mark it; clear what this restore has left there before.

    Raises:
        ArchiveCopyError: It cannot be made, or another restore has taken it meanwhile.
    """
    try:
        if _read_mark(folder) == str(installation):
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / _MARK).open("x") as mark:  # of two restores one makes it
            mark.write(str(installation))
    except FileExistsError:
        raise ArchiveCopyError(folder, "another restore has taken it meanwhile") from None
    except OSError as error:
        raise ArchiveCopyError(folder, error.strerror or str(error)) from error


def _folders(request: ServersRequest, numbers: Iterable[int]) -> Iterator[Path]:
    """List the folder for the copy of each of these servers."""
    copy = None if request.archive_copy is None else str(request.archive_copy)
    for number in numbers:
        if place := place_of_server(copy, number):
            yield Path(place)


def _read_mark(folder: Path) -> str | None:
    """Return the mark of a folder; None without one."""
    try:
        return (folder / _MARK).read_text()
    except FileNotFoundError:
        return None


def _places(request: ServersRequest, manifests: Mapping[int, Manifest]) -> dict[int, str]:
    """Return the places of the archives of all servers: a slice may have moved since, with its files."""
    known = {number: one.archive for number, one in manifests.items() if one.archive is not None}
    of_home = request.archive or next(
        (home for number, place in known.items() if (home := home_place_of(place, number))), None
    )
    derived = {number: place_of_server(of_home, number) for number in manifests}
    places = derived | ({} if request.archive else known)
    return {number: place for number, place in places.items() if place is not None}
