"""The command sample: a first look, with a simulated day that is part of the package."""

import shlex
import sys
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from offerlog_application.wording import format_count
from offerlog_domain.errors import OfferlogError
from offerlog_domain.outcomes import OutcomeKind
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.invocation import called_as, with_options
from offerlog_infrastructure.cli.opening import Access, listed, open_service
from offerlog_infrastructure.cli.options import Data, KeyringFile, organization_name
from offerlog_infrastructure.cli.output import console, table, usage
from offerlog_infrastructure.cli.record import record_files, show_outcomes
from offerlog_infrastructure.cli.recording import Tally
from offerlog_infrastructure.cli.report import show_report
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.read_models import Suppression

_BATCH: Final = 1000

SAMPLE: Final = "sample"
"""The organization of the sample's signals."""

_SIGNALS: Final = 54_480
"""The number of signals in the sample."""


class NothingRecordedError(OfferlogError):
    """The question whether to go on was answered with no."""

    def __init__(self) -> None:
        super().__init__("nothing was recorded")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog sample --data /tmp/try-offerlog")(
        sample
    )


def sample(
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Annotated[
        str | None,
        typer.Option(
            "--organization",
            parser=organization_name,
            metavar="NAME",
            help="Organization to record into. [dim]sample, whatever OFFERLOG_ORGANIZATION says[/]",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Record even if the store holds signals of other organizations.")
    ] = False,
) -> None:
    """Record a simulated day and show its report; a second call records nothing new.

    The signals are invented and stay in the log, so they belong to an
    organization of their own, `sample`. If the store holds other signals,
    the command asks first.
    """
    from offerlog_application.ports.performance_counts import ReportQuery  # noqa: PLC0415 - --help need not wait for it

    out = console()
    shipped = resources.files("offerlog_infrastructure") / "sample" / "day.ndjson.gz"
    organization = organization or SAMPLE
    with (
        open_service(data, keyring, organization, Access.WRITE) as service,
        resources.as_file(shipped) as file,
    ):
        if not yes:
            _ask(service)
        out.print(f"Recording a simulated day, with its disorder and repeats ({file.name}) ...")
        tally: Tally = Counter()
        record_files(service, [Path(file)], _BATCH, None, tally)
        show_outcomes(tally)
        _space(out)
        ended = service.expire()
        if not any(kind == OutcomeKind.RECORDED for kind, _ in tally):
            out.print("Nothing recorded: every signal was known already, or is refused or parked again.\n")
        out.print(
            f"Overdue: {format_count(ended.timedout, 'time-out')} recorded,"
            f" {format_count(ended.never_reachable, 'parked signal')} given up. (Time-outs that no widget"
            " reported, and signals whose beginning never came, become overdue 15 minutes after they"
            " arrive.)\n",
            soft_wrap=True,
        )
        made = service.report(ReportQuery(service.organization))
        show_report(made)
        _space(out)
        out.print("[bold]Suppression list: to how many visitors each map does not offer again[/]")
        rows = table(out, ["action map", "visitors"], numbers=1)
        example = None
        for row in made.rows:
            found = list(service.suppressed_visitors(row.action_map_id))
            example = example or next(iter(found), None)
            rows.add_row(Text(spell_out(row.action_map_name or row.action_map_id)), f"{len(found):,}")
        out.print(rows)
        _space(out)
    if example is not None:
        _show_commands(out, example, with_options(data, keyring, organization))


def _ask(service: "Offerlog") -> None:
    """Ask whether invented signals may be stored beside real ones, permanently.

    Raises:
        typer.BadParameter: There is no terminal to answer.
        NothingRecordedError: The answer is no.
    """
    service.catch_up()
    real = [name for name in service.organizations.names_with_signals() if name != SAMPLE]
    if not real:
        return
    warning = (
        f"the store holds signals of {listed(real)}; the sample's {_SIGNALS:,} invented signals would stay in"
        f" it for good, in organization {service.organization!r}"
    )
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise usage(f"{warning}: give --yes, or another --data")
    if not typer.confirm(f"{spell_out(warning)}. Go on?", err=True):
        raise NothingRecordedError


def _show_commands(out: Console, example: "Suppression", where: str) -> None:
    """Print the next commands to try; they work as printed."""
    offerlog = called_as()
    visitor = f"--customer {shlex.quote(example.customer_id)}"
    if example.customer_id_type != "cookie":
        visitor += f" --customer-type {shlex.quote(example.customer_id_type)}"
    pair = f"{visitor} --action-map {example.action_map_id}{where}"
    out.print("[bold]What to try next[/]")
    for command in (
        f"{offerlog} report --by hour --zone Asia/Kathmandu{where}",
        f"{offerlog} action-maps{where}",
        f"{offerlog} history {pair}",
        f"{offerlog} eligibility {pair}",
        f"{offerlog} suppressions {visitor}{where}",
        f"{offerlog} refusals --reason terminal_state{where}",
        f"{offerlog} serve{where}",
        f"{offerlog} --help",
    ):
        out.print(f"  {spell_out(command)}", soft_wrap=True, markup=False)


def _space(out: Console) -> None:
    """Print an empty line after a table; tables for a terminal include it."""
    if not out.is_terminal:
        out.print()
