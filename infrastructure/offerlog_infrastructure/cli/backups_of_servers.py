"""The commands backup and restore over several servers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from offerlog_application.wording import format_count
from offerlog_infrastructure.cli.erasure_requests import erase_file
from offerlog_infrastructure.cli.event_bar import event_bar
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.output import print_json, usage
from offerlog_infrastructure.cli.streams import telling

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.rebuilds import RebuildProgress
    from offerlog_application.ports.shards import Directory
    from offerlog_infrastructure.backups.backup_file import Manifest
    from offerlog_infrastructure.backups.backup_folder import BackupFolder
    from offerlog_infrastructure.backups.making import BackupPlace
    from offerlog_infrastructure.backups.past_erasures import ErasureSource
    from offerlog_infrastructure.backups.restored_servers import RestoredServer, RestoredServers
    from offerlog_infrastructure.backups.signed_before import SignedBefore
    from offerlog_infrastructure.keyring.file_keyring import FileKeyring


def warn_of_keyring(keys: Path) -> None:
    """Say that the keyring is not in a backup."""
    typer.echo(
        f"offerlog: the keyring is not in the backup: keep a copy of {keys} in another place, because"
        " without it nobody can read the backup",
        err=True,
    )


def backup_servers(place: Path, store: "BackupPlace", keys: Path, *, replace: bool) -> None:
    """Back up several servers into a folder, and print what was made."""
    # `--help` need not wait for the store's libraries.
    from offerlog_infrastructure.backups.backup_folder import BackupFolder  # noqa: PLC0415 - see above
    from offerlog_infrastructure.backups.making_of_servers import (  # noqa: PLC0415 - see above
        make_backup_of_servers,
    )

    folder = BackupFolder(place)
    with event_bar("backing up", "MiB") as on_progress:
        made = make_backup_of_servers(folder, store, replace=replace, on_progress=on_progress)
    with telling("the backup is made"):
        print_json(
            {
                "folder": str(folder.path),
                "bytes": sum(one.bytes for one in made.servers.servers),
                "id": made.servers.id,
                "made_at": made.servers.made_at,
                "servers": [
                    {
                        "shard": one.shard,
                        "slices": one.slices,
                        "file": one.file,
                        "position": one.position,
                        "checkpoint": name_checkpoint(made.manifests[one.shard].checkpoint),
                        "keys": list(made.manifests[one.shard].keys),
                        "archive": made.manifests[one.shard].archive,
                        "archived_files": made.manifests[one.shard].archived_files,
                    }
                    for one in made.servers.servers
                ],
                "keyring_included": False,
                "sha256": made.sha256,
            }
        )
    warn_of_keyring(keys)
    for manifest in made.manifests.values():
        warn_of_archive(manifest)


def warn_of_archive(manifest: "Manifest") -> None:
    """Say that archived files are not in a backup, if the store has any."""
    if manifest.archived_files:
        typer.echo(
            f"offerlog: {manifest.archived_files:,} archived files are not in the backup: keep a copy of"
            f" {manifest.archive}, too",
            err=True,
        )


def name_checkpoint(note: str | None) -> dict[str, Any] | None:
    """Return the name and the size of a checkpoint; None without one."""
    from offerlog_domain.transparency.checkpoints import SignedCheckpoint  # noqa: PLC0415 - --help need not wait

    if note is None:
        return None
    checkpoint = SignedCheckpoint.parse(note).checkpoint
    return {"origin": checkpoint.origin, "size": checkpoint.size}


def warnings_of(before: "SignedBefore", shard: int = 0) -> list[str]:
    """Return what the operator must know and do about what was signed of a restored log before."""
    found = []
    if before.lost is not None:
        found.append(
            "the restored log ends before the last checkpoint: it is a fork. A checkpoint outside speaks of"
            f" {format_count(before.lost.size, 'event')} of {before.lost.origin}. What was recorded since is"
            " lost. Keep the old checkpoints, and tell those who hold them"
        )
    elif before.unsafe:
        found.append(
            "no folder of checkpoints shows how far the log was signed, so it may have been signed further"
            " than the backup reaches"
        )
    if before.unsafe:
        names, of_server = ", ".join(sorted(before.unsafe)), f" --shard {shard}" if shard else ""
        found.append(
            f"nothing is signed any more as {names}: make a key with a new name (`offerlog audit keygen"
            f" --origin NAME --key FILE{of_server}`), and name a new folder in OFFERLOG_CHECKPOINTS"
        )
    return found


class RestoreOptions(NamedTuple):
    """The options of a restore of several servers.

    Attributes:
        folder: The backup.
        urls: The addresses for all servers but the home.
        data: The folder of an embedded home; None for that of the settings, if no server is set there.
        keyring: The file with the keys; None for that of the settings.
        organization: The organization of `erase`; None for that of the settings.
        erasures: The lists of erasures since the backup.
        erase: A file of further visitors to erase; None for none.
        archive: The place of the archive; None if it is where the home had it.
        archive_copy: A new folder for the copy of the archive; None for none.
    """

    folder: "BackupFolder"
    urls: Sequence[str]
    data: Path | None
    keyring: Path | None
    organization: str | None
    erasures: "ErasureSource"
    erase: Path | None
    archive: str | None
    archive_copy: Path | None


def restore_folder(options: RestoreOptions) -> None:
    """Restore several servers from a folder, and print what was restored."""
    if options.erasures.later_store is not None:
        raise usage(
            "--later-store is for a store that is the only one; of several servers, the folders of"
            " checkpoints have the lists of erasures"
        )
    _check_addresses(options.folder, options.urls)
    with _reached_home(options) as (home, keys), event_bar("restoring", "steps") as on_progress:
        restored, failed = _restore(options, home, keys, on_progress)
    with telling("the servers are restored"):
        print_json(_describe(restored))
    for number, server in restored.servers.items():
        for sentence in warnings_of(server.signed_before, number):
            typer.echo(f"offerlog: shard {number}: {sentence}", err=True)
    if failed:
        raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _reached_home(options: RestoreOptions) -> "Iterator[tuple[str, FileKeyring]]":
    """Reach the database for the home; an embedded one runs during the block.

    Yields:
        Its address, and the keyring.
    """
    # `--help` need not wait for the store's libraries.
    from offerlog_infrastructure.embedded import EmbeddedServer, default_data_dir  # noqa: PLC0415 - see above
    from offerlog_infrastructure.keyring.file_keyring import FileKeyring  # noqa: PLC0415 - see above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - see above

    settings = read_settings()
    keys = FileKeyring(options.keyring or settings.keyring)
    if options.data is None and settings.database_url is not None:
        yield settings.database_url, keys
        return
    place = (options.data or settings.data or default_data_dir()).expanduser().absolute()
    keys.check_outside(place)
    with EmbeddedServer.acquire(place) as server:
        yield server.dsn, keys


def _restore(
    options: RestoreOptions,
    home: str,
    keys: "FileKeyring",
    on_progress: "Callable[[RebuildProgress], None]",
) -> "tuple[RestoredServers, int]":
    """Restore the servers; returns them, and the number of erasures of the options that failed."""
    # `--help` need not wait for the store's libraries.
    from offerlog_infrastructure.backups.restored_servers import ServersRequest  # noqa: PLC0415 - see above
    from offerlog_infrastructure.backups.restoring_of_servers import restore_servers  # noqa: PLC0415 - see above
    from offerlog_infrastructure.composition import SCHEMA, open_restored  # noqa: PLC0415 - see above
    from offerlog_infrastructure.installation import Installation  # noqa: PLC0415 - see above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - see above

    failed = 0

    def open_service(directory: "Directory") -> "Offerlog":
        return open_restored(home, keys, options.organization, directory)

    def find_faults(directory: "Directory") -> Sequence[str]:
        with Installation(None, home, keys, directory=directory) as installation:
            return installation.verify()

    def erase_more(service: "Offerlog") -> None:
        nonlocal failed
        if options.erase is not None:
            failed = erase_file(service, options.erase, "cookie")

    copy = options.archive_copy
    restored = restore_servers(
        ServersRequest(
            folder=options.folder,
            home=home,
            urls=options.urls,
            keyring=keys,
            erasures=options.erasures,
            schema=SCHEMA,
            open_service=open_service,
            find_faults=find_faults,
            checkpoints=read_settings().checkpoints,
            archive=options.archive,
            archive_copy=copy and copy.expanduser().absolute(),
            erase_more=erase_more,
            on_progress=on_progress,
        )
    )
    return restored, failed


def _check_addresses(folder: "BackupFolder", urls: Sequence[str]) -> None:
    """Check that there is an address for each server, without a password: it will be stored."""
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - --help need not wait for it

    from offerlog_infrastructure.server_address import ServerAddressError, check_address  # noqa: PLC0415 - as above

    others = [one for one in folder.read().servers if one.shard]
    if len(others) != len(urls):
        named = ", ".join(f"{one.shard} (slices: {one.slices})" for one in others)
        raise usage(
            f"the backup has {format_count(len(others), 'server')} besides the home: give --shard URL once"
            f" for each of them, in this order: {named}"
        )
    for url in urls:
        try:
            check_address(url)
        except ServerAddressError as error:
            raise usage(f"--shard: {error}") from None
        if conninfo_to_dict(url).get("password"):
            raise usage(
                "--shard: leave the password out of the address, which is stored: all servers have that of"
                " the home, or libpq's password file has it"
            )


def _describe(restored: "RestoredServers") -> dict[str, Any]:
    return {
        "backup": restored.made.id,
        "made_at": restored.made.made_at,
        "erased_again": sum(one.erased for one in restored.servers.values()),
        "fork": any(one.signed_before.lost is not None for one in restored.servers.values()),
        "servers": [_describe_server(number, one) for number, one in restored.servers.items()],
    }


def _describe_server(number: int, one: "RestoredServer") -> dict[str, Any]:
    from offerlog_domain.stream_ids import format_slices  # noqa: PLC0415 - --help need not wait

    lost = one.signed_before.lost
    return {
        "shard": number,
        "slices": format_slices(one.slices),
        "position": one.position,
        "backup_position": one.manifest.position,
        "events_verified": one.report.events,
        "signed_events": one.report.signed,
        "signatures_checked": one.report.signatures_checked,
        "erased_again": one.erased,
        "signed_outside": None if lost is None else {"origin": lost.origin, "size": lost.size},
        "retired_origins": sorted(one.signed_before.unsafe),
    }
