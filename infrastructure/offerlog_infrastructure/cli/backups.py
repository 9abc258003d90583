"""The commands backup and restore."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offerlog_infrastructure.cli.backups_of_servers import (
    RestoreOptions,
    backup_servers,
    name_checkpoint,
    restore_folder,
    warn_of_archive,
    warn_of_keyring,
    warnings_of,
)
from offerlog_infrastructure.cli.erasure_requests import erase_file
from offerlog_infrastructure.cli.event_bar import event_bar
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.opening import warn_of_unknown_variables
from offerlog_infrastructure.cli.options import Data, KeyringFile, Organization, file_name, folder_name
from offerlog_infrastructure.cli.output import print_json, usage
from offerlog_infrastructure.cli.streams import telling

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_infrastructure.backups.past_erasures import ErasureSource
    from offerlog_infrastructure.backups.restoring import RestoredStore


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog backup /mnt/backup/monday.offerlog")(
        backup
    )
    app.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog restore /mnt/backup/monday.offerlog --data /var/lib/offerlog-new",
    )(restore)


def backup(
    file: Annotated[
        Path,
        typer.Argument(
            parser=file_name, metavar="FILE", help="The file to make; over several servers, a folder."
        ),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace a backup that is there.")] = False,
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Back up the whole store into one file, while services run.

    The file holds the store as it was at one moment. It appears under its
    name when it is whole, for its owner alone. The keyring is not in it:
    without a copy of that file nobody can read the backup. Make backups to
    another disk. `offerlog restore` makes a store of it again.

    Over several servers it is a folder with a file of each server, all of
    one moment. It is whole when `servers.json` is in it.
    """
    del organization  # a backup holds all of them
    # `--help` need not wait for the store's libraries.
    from offerlog_infrastructure.backups.making import BackupPlace, make_backup  # noqa: PLC0415 - see below
    from offerlog_infrastructure.backups.making_of_servers import is_of_several  # noqa: PLC0415 - as above
    from offerlog_infrastructure.composition import SCHEMA  # noqa: PLC0415 - as above
    from offerlog_infrastructure.embedded import default_data_dir  # noqa: PLC0415 - as above
    from offerlog_infrastructure.keyring.file_keyring import default_keyring  # noqa: PLC0415 - as above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - as above

    settings = read_settings()
    warn_of_unknown_variables()
    url = None if data else settings.database_url
    folder = data or settings.data or default_data_dir()
    if url is None and file.expanduser().resolve().is_relative_to(folder.expanduser().resolve()):
        raise usage(f"{file} is in the data folder: give a place outside it, best on another disk")
    place = BackupPlace(SCHEMA, folder, url, settings.checkpoints)
    keys = keyring or settings.keyring or default_keyring()
    if is_of_several(place):
        backup_servers(file, place, keys, replace=force)
        return
    with event_bar("backing up", "MiB") as on_progress:
        made = make_backup(file, place, replace=force, on_progress=on_progress)
    with telling("the backup is made"):
        print_json(
            {
                "file": str(file.expanduser().absolute()),
                "bytes": file.expanduser().stat().st_size,
                "id": made.manifest.id,
                "made_at": made.manifest.made_at,
                "position": made.manifest.position,
                "checkpoint": name_checkpoint(made.manifest.checkpoint),
                "keys": list(made.manifest.keys),
                "archive": made.manifest.archive,
                "archived_files": made.manifest.archived_files,
                "keyring_included": False,
                "sha256": made.sha256,
            }
        )
    warn_of_keyring(keys)
    warn_of_archive(made.manifest)


def restore(
    file: Annotated[
        Path,
        typer.Argument(
            parser=file_name, metavar="FILE", help="The backup: a file; of several servers, a folder."
        ),
    ],
    shard: Annotated[
        list[str] | None,
        typer.Option(
            "--shard",
            metavar="URL",
            help="An empty database for the next server but the home. Once for each, by number.",
            show_default=False,
        ),
    ] = None,
    later_store: Annotated[
        Path | None,
        typer.Option(
            "--later-store",
            parser=folder_name,
            metavar="DIR",
            help="A later state of the same store, not one of several: who was erased there is erased again.",
        ),
    ] = None,
    erase: Annotated[
        Path | None,
        typer.Option(
            "--erase", parser=file_name, metavar="FILE", help="Erase these visitors too, as `offerlog erase`."
        ),
    ] = None,
    erasures_from: Annotated[
        Path | None,
        typer.Option(
            parser=folder_name,
            metavar="DIR",
            help="Folder of checkpoints with the list of erasures. [dim]Default: $OFFERLOG_CHECKPOINTS[/]",
            show_default=False,
        ),
    ] = None,
    nobody: Annotated[
        bool, typer.Option("--nobody-erased", help="Nobody was erased since the backup.")
    ] = False,
    archive: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="The archive, if it is not where the store had it. It is copied, and stays as it is.",
            show_default=False,
        ),
    ] = None,
    archive_copy: Annotated[
        Path | None,
        typer.Option(
            parser=folder_name,
            metavar="DIR",
            help="A new folder for the copy of the archive; over several servers only.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Make a new embedded store of a backup, in a folder that is not there or empty.

    It needs the keyring. The store is in its place only at the end: the log
    is verified against its last checkpoint, and erasures since the backup
    are made again before anybody can read. What was recorded since is lost.
    A log that ends before a checkpoint outside is a fork: it is reported,
    and nothing is signed any more under the old name. Exit code 3 if the
    log is not the one that was signed; nothing is restored then.

    A backup of several servers is restored into as many empty databases: the
    home into OFFERLOG_DATABASE_URL, or into --data, and the others into those
    of --shard. No service can use them before the end. If it is interrupted,
    the same command goes on.
    """
    # `--help` need not wait for the store's libraries.
    from offerlog_infrastructure.backups.backup_folder import BackupFolder  # noqa: PLC0415 - see above
    from offerlog_infrastructure.backups.past_erasures import ErasureSource  # noqa: PLC0415 - see above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - see above

    settings = read_settings()
    warn_of_unknown_variables()
    folder = erasures_from or settings.checkpoints
    if folder is None and later_store is None and erase is None and not nobody:
        ways = "--erase" if file.expanduser().is_dir() else "--later-store or --erase"
        raise usage(
            f"whoever was erased since the backup must be erased again: give {ways}, or --erasures-from,"
            " or --nobody-erased if nobody was"
        )
    erasures = ErasureSource(folder, later_store, is_answered=nobody or erase is not None)
    if file.expanduser().is_dir():
        restore_folder(
            RestoreOptions(
                folder=BackupFolder(file),
                urls=shard or [],
                data=data,
                keyring=keyring,
                organization=organization,
                erasures=erasures,
                erase=erase,
                archive=archive,
                archive_copy=archive_copy,
            )
        )
        return
    if not file.expanduser().exists():
        raise usage(f"there is no backup at {file}")
    if shard or archive_copy:
        raise usage("--shard and --archive-copy go with the folder of a backup of several servers")
    _restore_file(file, data, keyring, organization, erasures, erase, archive)


def _restore_file(
    file: Path,
    data: Path | None,
    keyring: Path | None,
    organization: str | None,
    erasures: "ErasureSource",
    erase: Path | None,
    archive: str | None,
) -> None:
    """Restore the backup of a store that is the only one, and print what was restored."""
    # `--help` need not wait for the store's libraries.
    from offerlog_infrastructure.backups.restoring import (  # noqa: PLC0415 - see above
        RestoreRequest,
        restore_backup,
    )
    from offerlog_infrastructure.composition import SCHEMA, open_offerlog  # noqa: PLC0415 - see above
    from offerlog_infrastructure.embedded import default_data_dir  # noqa: PLC0415 - see above
    from offerlog_infrastructure.embedded.staged_folder import is_in_use  # noqa: PLC0415 - see above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - see above

    settings = read_settings()
    if data is None and settings.database_url is not None:
        raise usage("a backup is restored into a data folder, not on your own server: name one with --data")
    target = (data or settings.data or default_data_dir()).expanduser().absolute()
    if is_in_use(target):
        raise usage(f"{target} is not empty, and a restore replaces nothing: give another --data")
    failed = 0

    def open_staged(staged: Path) -> "Offerlog":
        return open_offerlog(
            data=staged,
            keyring=keyring or settings.keyring,
            create=False,
            organization=organization or settings.organization,
            keep_deadlines=False,
        )

    def erase_more(service: "Offerlog") -> None:
        nonlocal failed
        if erase is not None:
            failed = erase_file(service, erase, "cookie")

    with event_bar("restoring", "steps") as on_progress:
        restored = restore_backup(
            RestoreRequest(
                file.expanduser().absolute(),
                target,
                keyring or settings.keyring,
                erasures,
                SCHEMA,
                open_staged,
                settings.checkpoints,
                archive,
                erase_more,
                on_progress,
            )
        )
    with telling("the store is restored"):
        print_json(_describe(target, restored))
    for sentence in warnings_of(restored.signed_before):
        typer.echo(f"offerlog: {sentence}", err=True)
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _describe(target: Path, restored: "RestoredStore") -> dict[str, Any]:
    lost = restored.signed_before.lost
    return {
        "data": str(target),
        "position": restored.position,
        "backup": restored.manifest.id,
        "made_at": restored.manifest.made_at,
        "backup_position": restored.manifest.position,
        "events_verified": restored.events,
        "signed_events": restored.signed,
        "signatures_checked": restored.signatures_checked,
        "erased_again": restored.erased,
        "held": 0,
        "fork": lost is not None,
        "signed_outside": None if lost is None else {"origin": lost.origin, "size": lost.size},
        "archive": None if restored.archive is None else str(restored.archive),
        "retired_origins": sorted(restored.signed_before.unsafe),
    }
