"""The command `offerlog`: its commands, and how an error ends it.

Exit codes: 0 done (refused signals are not a failure), 2 wrong usage, 1 anything else, 130 Ctrl-C.
"""

import gc
import os
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from typer.exceptions import Abort, Exit, TyperException

from offerlog_infrastructure.cli import ask, audit, operate, record, report, sample, simulate

app = typer.Typer(
    name="offerlog",
    help="The log of web chat offers: what was offered, what became of it, what must not be offered again."
    "\n\nStart with [bold]offerlog sample[/], which records a simulated day and shows what became of it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (sample, record, report, ask, audit, operate, simulate):
    family.add_to(app)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        typer.echo(f"offerlog {version('offerlog')}")
        raise typer.Exit


@app.callback()
def _offerlog(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Only `--version` stands before the command."""


def main() -> NoReturn:
    """Run the command line and exit."""
    # What is loaded now stays; a stream of signals makes no cycles worth looking for often.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        app(standalone_mode=False)
    except Exit as done:
        sys.exit(done.exit_code)
    except (Abort, KeyboardInterrupt):
        _say("interrupted; what was recorded stays recorded")
        sys.exit(130)
    except TyperException as error:
        where = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed in its stead
            sys.exit(0)
        hint = f" (see `{where.command_path} --help`)" if where is not None else ""
        _say(" ".join(error.format_message().split()) + hint)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read the output has enough of it; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("OFFERLOG_DEBUG"):
            raise
        sys.exit(_end_of(error))
    sys.exit(0)


def _end_of(error: Exception) -> int:
    """Say in one line what went wrong; returns the exit code."""
    from pydantic import ValidationError  # noqa: PLC0415 - only an error needs it

    from offerlog_application.calendar import CalendarError  # noqa: PLC0415 - as above
    from offerlog_application.offers import OrganizationName  # noqa: PLC0415 - as above
    from offerlog_domain.signals import MalformedSignal  # noqa: PLC0415 - as above
    from offerlog_infrastructure.cli.options import OPTION_OF  # noqa: PLC0415 - as above

    match error:
        case MalformedSignal():
            _say(f"{OPTION_OF.get(error.field or '', error.field)}: {error.cause}")
            return 2
        case CalendarError():
            _say(f"--{error}")
            return 2
        case ValidationError():
            first = error.errors(include_url=False)[0]
            _say(f"the environment variable OFFERLOG_{str(first['loc'][0]).upper()}: {first['msg']}")
            return 2
        case OrganizationName():
            _say(f"--organization: {error}")
            return 2
        case _:
            text = " ".join(str(error).split()) or type(error).__name__
            known = type(error).__module__.startswith("offerlog") or isinstance(error, OSError)
            _say(text if known else f"{type(error).__name__}: {text} (OFFERLOG_DEBUG=1 shows where)")
            return 1


def _say(text: str) -> None:
    typer.echo(f"offerlog: {text}", err=True)


if __name__ == "__main__":
    main()
