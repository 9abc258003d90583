"""The options that commands share."""

from pathlib import Path
from typing import Annotated, Final

import typer

from offerlog_infrastructure.cli.output import Form, usage


def folder_name(name: str) -> Path:
    """Read a folder's name; not an empty one, as an unset variable must not mean the current folder."""
    if not name:
        raise usage("an empty name is no folder: see whether a variable in the call is not set")
    return Path(name)


def file_name(name: str) -> Path:
    """Read a file's name; not an empty one, as an unset variable must not mean the usual file."""
    if not name:
        raise usage("an empty name is no file: see whether a variable in the call is not set")
    return Path(name)


def organization_name(name: str) -> str:
    """Read an organization's name; not an empty one, as an unset variable must not mean `default`."""
    if not name:
        raise usage("an empty name is no organization; leave it out for the usual one")
    return name


Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        parser=folder_name,
        metavar="DIR",
        help="The embedded store's folder. [dim]Default: $OFFERLOG_DATA, else your data folder[/]",
        show_default=False,
    ),
]
KeyringFile = Annotated[
    Path | None,
    typer.Option(
        "--keyring",
        parser=file_name,
        metavar="FILE",
        help="The file with the store's key. [dim]Default: $OFFERLOG_KEYRING, else in your settings[/]",
        show_default=False,
    ),
]
Organization = Annotated[
    str | None,
    typer.Option(
        "--organization",
        parser=organization_name,
        metavar="NAME",
        help="Organization to work on. [dim]Default: $OFFERLOG_ORGANIZATION, else `default`[/]",
        show_default=False,
    ),
]
CustomerType = Annotated[
    str, typer.Option("--customer-type", metavar="TYPE", help="What kind of id the customer's is.")
]
Customer = Annotated[str, typer.Option("--customer", metavar="ID", help="The visitor's customer id.")]
ListForm = Annotated[Form, typer.Option("--format", help="Output format.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OnlyTypes = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Only this type, such as offered. Repeatable."),
]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")]

OPTION_OF: Final = {
    "customerId": "--customer",
    "customerIdType": "--customer-type",
    "actionMapId": "--action-map",
    "actionMapVersion": "--action-map-version",
    "sessionId": "--session",
    "actionId": "--action",
    "timeoutSeconds": "--timeout-seconds",
}
"""The option for each field of a signal."""


def read_process_count(option: str, text: str) -> int:
    """Read a number of processes.

    Args:
        option: The option, for the error.
        text: Its value: a number, or `auto`.

    Raises:
        typer.BadParameter: It is neither.
    """
    from offerlog_infrastructure.worker_count import read_count  # noqa: PLC0415 - --help need not wait for it

    try:
        return read_count(text)
    except ValueError as error:
        raise usage(f"{option}: {error}") from None
