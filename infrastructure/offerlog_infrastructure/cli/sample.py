"""offerlog sample: a first look, over a simulated day that comes with the package."""

import shlex
import shutil
import sys
from collections import Counter
from importlib import resources
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from offerlog_domain.outcomes import OutcomeKind
from offerlog_infrastructure.cli.everywhere import Command
from offerlog_infrastructure.cli.options import Data, Organization, open_service
from offerlog_infrastructure.cli.output import console, table
from offerlog_infrastructure.cli.record import Tally, record_files, show_outcomes
from offerlog_infrastructure.cli.report import show_report
from offerlog_infrastructure.escaping import spell_out

_BATCH = 1000


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=Command, epilog="[dim]Example:[/] offerlog sample --data /tmp/try-offerlog")(sample)


def sample(data: Data = None, organization: Organization = None) -> None:
    """Record a simulated day and show what became of it; a second time records nothing new."""
    from offerlog_application.reports import ReportQuery  # noqa: PLC0415 - --help need not wait for it

    out = console()
    shipped = resources.files("offerlog_infrastructure") / "sample" / "day.ndjson.gz"
    with open_service(data, organization) as service, resources.as_file(shipped) as file:
        out.print(f"Recording a simulated day, with its disorder and repeats ({file.name}) ...")
        tally: Tally = Counter()
        record_files(service, [Path(file)], _BATCH, None, tally)
        show_outcomes(tally)
        _space(out)
        ended = service.expire()
        if not any(kind == OutcomeKind.RECORDED for kind, _ in tally):
            out.print("Nothing recorded: every signal was known already, or is refused or parked again.\n")
        out.print(
            f"Overdue: {ended.timedout:,} time-outs recorded, {ended.never_reachable:,} parked signals given"
            " up. (Time-outs that no widget reported, and signals whose beginning never came, become overdue"
            " 15 minutes after they arrive.)\n",
            soft_wrap=True,
        )
        made = service.report(ReportQuery(service.organization))
        show_report(made)
        _space(out)
        out.print("[bold]Suppression list: to how many visitors each map never offers again[/]")
        rows = table(out, ["action map", "visitors"], numbers=1)
        example = None
        for row in made.rows:
            found = list(service.suppressed_visitors(row.action_map_id))
            example = example or next(iter(found), None)
            rows.add_row(Text(spell_out(row.action_map_name or row.action_map_id)), f"{len(found):,}")
        out.print(rows)
        _space(out)
    if example is None:
        return
    offerlog = _called_as()
    where = f" --data {shlex.quote(str(data))}" if data else ""
    where += f" --organization {shlex.quote(organization)}" if organization else ""
    visitor = f"--customer {shlex.quote(example.customer_id)}"
    if example.customer_id_type != "cookie":
        visitor += f" --customer-type {shlex.quote(example.customer_id_type)}"
    pair = f"{visitor} --action-map {example.action_map_id}{where}"
    out.print("[bold]What to try next[/]")
    for command in (
        f"{offerlog} report --by hour --zone Asia/Kathmandu{where}",
        f"{offerlog} history {pair}",
        f"{offerlog} eligibility {pair}",
        f"{offerlog} suppressions {visitor}{where}",
        f"{offerlog} refusals --reason terminal_state{where}",
        f"{offerlog} sample{where}",
        f"{offerlog} --help",
    ):
        out.print(f"  {spell_out(command)}", soft_wrap=True, markup=False)


def _space(out: Console) -> None:
    """An empty line behind a table; those for a terminal bring it along."""
    if not out.is_terminal:
        out.print()


def _called_as() -> str:
    """How to call the command from here."""
    command = Path(sys.argv[0])
    if shutil.which("offerlog") == str(command) or command.name != "offerlog":
        return "offerlog"
    here = Path.cwd()
    return str(command.relative_to(here) if command.is_relative_to(here) else command)
