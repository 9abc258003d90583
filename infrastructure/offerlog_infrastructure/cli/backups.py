"""The commands backup and restore."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offerlog_application.wording import format_count
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
    file: Annotated[Path, typer.Argument(parser=file_name, metavar="FILE", help="The file to make.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Back up the whole store into one file, while services run.

    The file holds the store as it was at one moment. It appears under its
    name when it is whole, for its owner alone. The keyring is not in it:
    without a copy of that file nobody can read the backup. Make backups to
    another disk. `offerlog restore` makes a store of it again.
    """
    del organization  # a backup holds all of them
    # `--help` need not wait for the store's libraries.
    from offerlog_infrastructure.backups.making import BackupPlace, make_backup  # noqa: PLC0415 - see below
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
                "checkpoint": _name_checkpoint(made.manifest.checkpoint),
                "keys": list(made.manifest.keys),
                "archive": made.manifest.archive,
                "archived_files": made.manifest.archived_files,
                "keyring_included": False,
                "sha256": made.sha256,
            }
        )
    keys = keyring or settings.keyring or default_keyring()
    typer.echo(
        f"offerlog: the keyring is not in the backup: keep a copy of {keys} in another place, because"
        " without it nobody can read the backup",
        err=True,
    )
    if made.manifest.archive is not None:
        typer.echo(
            f"offerlog: {made.manifest.archived_files:,} archived files are not in the backup: keep a copy of"
            f" {made.manifest.archive}, too",
            err=True,
        )


def restore(
    file: Annotated[Path, typer.Argument(parser=file_name, metavar="FILE", help="The backup.")],
    later_store: Annotated[
        Path | None,
        typer.Option(
            "--later-store",
            parser=folder_name,
            metavar="DIR",
            help="A later state of the same store: whoever was erased there is erased again.",
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
    """
    # `--help` need not wait for the store's libraries.
    from offerlog_infrastructure.backups.past_erasures import ErasureSource  # noqa: PLC0415 - see above
    from offerlog_infrastructure.backups.restoring import (  # noqa: PLC0415 - see above
        RestoreRequest,
        restore_backup,
    )
    from offerlog_infrastructure.composition import SCHEMA, open_offerlog  # noqa: PLC0415 - see above
    from offerlog_infrastructure.embedded import default_data_dir  # noqa: PLC0415 - see above
    from offerlog_infrastructure.embedded.staged_folder import is_in_use  # noqa: PLC0415 - see above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - see above

    settings = read_settings()
    warn_of_unknown_variables()
    if data is None and settings.database_url is not None:
        raise usage("a backup is restored into a data folder, not on your own server: name one with --data")
    target = (data or settings.data or default_data_dir()).expanduser().absolute()
    if is_in_use(target):
        raise usage(f"{target} is not empty, and a restore replaces nothing: give another --data")
    folder = erasures_from or settings.checkpoints
    if folder is None and later_store is None and erase is None and not nobody:
        raise usage(
            "whoever was erased since the backup must be erased again: give --later-store or --erase, or"
            " --erasures-from, or --nobody-erased if nobody was"
        )
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
                ErasureSource(folder, later_store, is_answered=nobody or erase is not None),
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
    for sentence in _warnings(restored):
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


def _warnings(restored: "RestoredStore") -> list[str]:
    """Return what the operator must know and do."""
    found = []
    before = restored.signed_before
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
        names = ", ".join(sorted(before.unsafe))
        found.append(
            f"nothing is signed any more as {names}: make a key with a new name (`offerlog audit keygen"
            " --origin NAME --key FILE`), and name a new folder in OFFERLOG_CHECKPOINTS"
        )
    return found


def _name_checkpoint(note: str | None) -> dict[str, Any] | None:
    from offerlog_domain.transparency.checkpoints import SignedCheckpoint  # noqa: PLC0415 - --help need not wait

    if note is None:
        return None
    checkpoint = SignedCheckpoint.parse(note).checkpoint
    return {"origin": checkpoint.origin, "size": checkpoint.size}
