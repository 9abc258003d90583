"""All commands of `offerlog`, and the end of a command by an error.

The exit codes are in `exit_codes`.
"""

import gc
import logging
import os
import re
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import Annotated, NoReturn, cast

import typer
from typer._click.exceptions import NoArgsIsHelpError
from typer.core import TyperGroup
from typer.exceptions import Abort, TyperException
from typer.main import get_command

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.cli import (
    action_maps,
    analysis,
    archive,
    ask,
    audit,
    audit_group,
    backups,
    config,
    ending,
    exports,
    import_genesys,
    keyring,
    keys,
    maps,
    operate,
    organizations,
    privacy,
    projections,
    record,
    replay,
    report,
    sample,
    serve,
    shards,
    simulate,
    status,
    streams,
    timeline,
    webhooks,
)
from offerlog_infrastructure.cli.everywhere import OfferlogGroup, hand_down
from offerlog_infrastructure.cli.exit_codes import ExitCode, code_of
from offerlog_infrastructure.cli.held_warnings import HeldWarnings
from offerlog_infrastructure.cli.output import OneLine
from offerlog_infrastructure.presentation.escaping import spell_out

app = typer.Typer(
    name="offerlog",
    cls=OfferlogGroup,
    help="The log of web chat offers: what was offered, what became of it, what must not be offered again."
    "\n\nStart with [bold]offerlog sample[/], which records a simulated day and shows what became of it.",
    epilog="[dim]Every command explains itself:[/] offerlog record --help",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (
    sample,
    record,
    import_genesys,
    report,
    action_maps,
    exports,
    analysis,
    ask,
    audit,
    timeline,
    audit_group,
    status,
    operate,
    backups,
    config,
    organizations,
    keyring,
    privacy,
    projections,
    replay,
    archive,
    shards,
    serve,
    keys,
    maps,
    webhooks,
    simulate,
):
    family.add_to(app)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        typer.echo(f"offerlog {version('offerlog')}")
        raise typer.Exit


@app.callback()
def _offerlog(
    context: typer.Context,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Same as --data of each command.")] = None,
    keyring: Annotated[
        str | None, typer.Option(metavar="FILE", help="Same as --keyring of each command.")
    ] = None,
    organization: Annotated[
        str | None, typer.Option(metavar="NAME", help="Same as --organization of each command.")
    ] = None,
    customer_type: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="Same as --customer-type of each command."),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Settings file (TOML), for every command. [dim]Default: $OFFERLOG_CONFIG[/]",
            show_default=False,
        ),
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del show_version  # its callback has printed it
    given = {
        "data": data,
        "keyring": keyring,
        "organization": organization,
        "customer_type": customer_type,
        "config": config,
    }
    hand_down(context, given)


@cache
def command_tree() -> TyperGroup:
    """Return the command with all its families. The first call builds it, in some hundredths of a second."""
    return cast("TyperGroup", get_command(app))


def run() -> NoReturn:
    """Run the command line and exit."""
    ending.end_in_order()
    # Loaded modules stay, and signals make few cycles: collect garbage rarely.
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    gc.enable()
    if logging.lastResort is not None:  # warnings of background threads look like errors of commands
        logging.lastResort.setFormatter(OneLine("offerlog: %(message)s"))
        logging.lastResort = HeldWarnings(logging.lastResort)
    streams.open_all()
    try:
        code = _run()
    except KeyboardInterrupt:  # a second signal while the first one was reported
        code = ending.exit_code()
    _show_warnings()
    ending.end_silently()
    streams.close_output()
    sys.exit(code)


def _run() -> int:
    """Run the command line; returns the exit code."""
    try:
        code: int | None = command_tree()(standalone_mode=False)
        sys.stdout.flush()
    except (Abort, KeyboardInterrupt):
        code = ExitCode.INTERRUPTED
    except SystemExit as ended:  # typer exits so if the reader of the output has closed it
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        return ExitCode.DONE
    except BrokenPipeError:
        return ExitCode.DONE
    except Exception as error:
        if os.environ.get("OFFERLOG_DEBUG") and not isinstance(error, TyperException):
            raise
        return report_error(error)
    if code == ExitCode.INTERRUPTED:  # typer catches Ctrl-C itself and returns this
        _say(ending.describe())
        return ending.exit_code()
    return code or 0


def report_error(error: Exception) -> int:
    """Print one line about an error that ends this process; returns the exit code."""
    return _end_of_usage(error) if isinstance(error, TyperException) else _end_of(error)


def _end_of_usage(error: TyperException) -> int:
    """Print one line about a mistake in the call; returns the exit code."""
    if isinstance(error, NoArgsIsHelpError):  # typer has printed the help instead
        return ExitCode.DONE
    context = getattr(error, "ctx", None)
    hint = f" (see `{context.command_path} --help`)" if context is not None else ""
    message = error.format_message().replace(
        ": Value error, ", ": ", 1
    )  # words of the library that checks values
    _say(" ".join(message.split()) + hint)
    return error.exit_code


def _end_of(error: Exception) -> int:
    """Print one line about an error; returns the exit code."""
    text = describe_error(error)
    _show_warnings(text)
    _say(text)
    return code_of(error)


def _show_warnings(error: str = "") -> None:
    """Show the warnings that are held, but for those whose cause this error names."""
    if isinstance(logging.lastResort, HeldWarnings):
        logging.lastResort.show_held(error)


def describe_error(error: Exception) -> str:
    """Say in one line what was wrong, and name the option where one was."""
    from offerlog_application.ports.organizations import OrganizationNameError  # noqa: PLC0415 - only an error needs it
    from offerlog_application.reading.instants import CalendarError  # noqa: PLC0415 - as above
    from offerlog_application.reading.map_names import UnknownActionMapError  # noqa: PLC0415 - as above
    from offerlog_domain.signals import MalformedSignalError  # noqa: PLC0415 - as above
    from offerlog_infrastructure.cli.options import OPTION_OF  # noqa: PLC0415 - as above

    match error:
        case MalformedSignalError():
            return f"{OPTION_OF.get(error.field or '', error.field)}: {error.cause}"
        case CalendarError():
            return f"--{error}"
        case UnknownActionMapError():
            return f"--action-map: {error}"
        case OrganizationNameError():
            return f"--organization: {error}"
        case OSError(filename=name, strerror=str(reason)):
            return f"{name}: {reason}" if isinstance(name, str) else reason
        case _:
            text = " ".join(str(error).split()) or type(error).__name__
            is_expected = isinstance(error, OfferlogError | OSError)
            return text if is_expected else f"{type(error).__name__}: {text} (OFFERLOG_DEBUG=1 shows where)"


def _say(text: str) -> None:
    text = re.sub(
        "[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:x}", text
    )  # bytes of a file's name
    with suppress(OSError):  # standard error may be full or closed: the exit code remains
        typer.echo(f"offerlog: {spell_out(text)}", err=True)
