"""The commands audit reports, replay and explain: from a number that was given out to its events."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offerlog_application.reading.instants import zone
from offerlog_application.wording import format_count
from offerlog_domain.identity import parse_action_map_id
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import Cohort
from offerlog_infrastructure.cli.event_bar import event_bar
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.evidence import evidence_of
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.moments import format_moment, read_moment
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import ListForm, file_name
from offerlog_infrastructure.cli.output import Form, console, print_json, refusing_arguments, table
from offerlog_infrastructure.cli.positions import read_position, show_place
from offerlog_infrastructure.cli.report_options import CohortOfReport, read_range
from offerlog_infrastructure.presentation.administration_documents import describe_issued
from offerlog_infrastructure.presentation.documents import describe_proof, format_time, show_position
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.reading.issued_reports import ComparedReport, ExplainedEvent


def add_to(audit: typer.Typer) -> None:
    """Add the commands to the group audit."""
    audit.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog audit reports")(reports)
    audit.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog audit replay --as-of 581203")(replay)
    audit.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog audit explain --action-map 3b5e... --metric engaged"
        " --from 2026-11-01",
    )(explain)


@spread_groups
def reports(
    *,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the reports that were given out with `offerlog report --issue`, in order."""
    with (
        store.open() as service,
        closing(service.issued_reports.all(service.organization)) as found,
    ):
        out = console()
        rows = table(out, ["issued (UTC)", "by", "digest", "position", "as of"], numbers=2)
        for one in found:
            if form is Form.JSON:
                print_json(describe_issued(one))
                continue
            digest, by = one.digest.hex()[:16], spell_out(one.issued_by)
            positions = [show_place(position) for position in (one.position, one.as_of_position)]
            rows.add_row(format_moment(one.issued_at), by, digest, *positions)
        if form is Form.TABLE:
            out.print(rows if rows.row_count else "No report was recorded as issued.")


@spread_groups
def replay(
    *,
    as_of: Annotated[
        str,
        typer.Option(
            "--as-of", metavar="POSITION|TIME", help="A position of the log, or a time by which was recorded."
        ),
    ],
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """Build all projections as they stood then, and compare with the reports issued as of then.

    A TIME is less exact than a POSITION: the clocks of writers differ, so
    that times step back along the log. What was recorded within that
    difference around TIME may be in or out. A report names its position.

    Reads the log up to there into a schema of its own, which goes at the end.
    Services are not disturbed. Exit code 3 if a report differs from the one
    that was issued; 1 if no report was issued as of then, so that nothing was
    compared; 4 if another replay is at work.
    """
    from offerlog_application.ports.positions import parse_position  # noqa: PLC0415 - --help need not wait for it

    where = parse_position(as_of)
    asked = read_moment(as_of, "--as-of") if where is None else where
    with (
        store.open() as service,
        event_bar("replaying the log") as on_progress,
        refusing_arguments(after="--as-of"),
    ):
        done = service.issued_reports.replay(service.organization, asked, on_progress)
    out = console()
    if form is Form.JSON:
        print_json(
            {
                "position": show_position(done.position),
                "projections": [describe_proof(one) for one in done.proofs],
                "reports": [_describe_compared(one) for one in done.reports],
            }
        )
    else:
        out.print(f"As of position {show_place(done.position)}:")
        rows = table(out, ["projection", "events", "digest"], numbers=2)
        for one in done.proofs:
            rows.add_row(one.projection, f"{one.events:,}", one.digest)
        out.print(rows)
        for compared in done.reports:
            verdict = "is the same" if compared.is_equal else "DIFFERS"
            issued = format_moment(compared.issued.issued_at)
            out.print(f"The report issued at {issued} ({compared.issued.digest.hex()[:16]}) {verdict}.")
    if not done.reports:
        typer.echo(
            f"offerlog: No report was issued as of position {show_place(done.position)}, so nothing was"
            " compared: see `offerlog audit reports`",
            err=True,
        )
        raise typer.Exit(ExitCode.FAILED)
    different = [one for one in done.reports if not one.is_equal]
    for compared in different:
        typer.echo(
            f"offerlog: the report issued at position {compared.issued.position:,} was"
            f" {compared.issued.digest.hex()}, and the log gives {compared.digest.hex()}",
            err=True,
        )
    if different:
        raise typer.Exit(ExitCode.FOUND_WRONG)


def _describe_compared(compared: "ComparedReport") -> dict[str, object]:
    issued = describe_issued(compared.issued)
    return {**issued, "replayed_digest": compared.digest.hex(), "equal": compared.is_equal}


@spread_groups
def explain(
    *,
    action_map: Annotated[
        str, typer.Option("--action-map", metavar="ID|NAME", help="The action map, by id or unique name.")
    ],
    metric: Annotated[State, typer.Option("--metric", help="The metric, by its state.")],
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="As of `offerlog report`.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="As of `offerlog report`.")] = None,
    zone_name: Annotated[
        str, typer.Option("--zone", metavar="ZONE", help="The zone of --from and --to.")
    ] = "UTC",
    cohort: CohortOfReport = Cohort.EVENT,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="POSITION", help="As of this position of the log."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Show so many events; all are counted.")
    ] = None,
    proofs: Annotated[
        Path | None,
        typer.Option(
            parser=file_name,
            metavar="DIR",
            help="Write the proof of each event that is shown into this folder.",
        ),
    ] = None,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """Show the events behind a number of a report, and count them.

    Without --as-of the number of the report as it is now stands beside them.
    Each event shows its position, by which `offerlog audit prove` proves it;
    with --proofs the proofs are written, as soon as there is a key.
    Reads the log up to there. Exit code 3 if the report and its events
    differ.
    """
    where, end_of_log = zone(zone_name), read_position("--as-of", as_of)
    first, behind = read_range(start, end, None, where)
    from offerlog_application.ports.performance_counts import ReportQuery  # noqa: PLC0415 - --help need not wait for it
    from offerlog_domain.metrics import MetricSet  # noqa: PLC0415 - as above

    with store.open() as service:
        service.catch_up()
        map_id = parse_action_map_id(*service.analysis.find_action_maps([action_map]))
        query = ReportQuery(
            service.organization,
            first,
            behind,
            where,
            action_maps=(map_id,),
            view=MetricSet.FULL,
            cohort=cohort,
        )
        with refusing_arguments(after="--as-of"):
            found = service.issued_reports.explain(query, metric, end_of_log)
        is_known = bool(service.changes.known_maps(service.organization, [map_id]))
        counted, prove = 0, None
        if proofs is not None:
            proofs.mkdir(parents=True, exist_ok=True)
            evidence_of(service).catch_up()
            prove = evidence_of(service).prove
        with refusing_arguments(after="--as-of"), closing(found.events) as events:
            for one in events:
                counted += 1
                if limit is None or counted <= limit:
                    _show(one, form)
                    if prove is not None and proofs is not None:
                        (proofs / f"{one.position}.tlog-proof").write_text(str(prove(one.position)))
    is_equal = found.count in {None, counted}
    if form is Form.JSON:
        print_json(
            {
                "position": show_position(found.position),
                "count": found.count,
                "events": counted,
                "equal": is_equal,
            }
        )
    else:
        report = "" if found.count is None else f"; the report counts {found.count:,}"
        console().print(
            f"{format_count(counted, 'event')} as of position {show_place(found.position)}{report}."
        )
    if not is_known:
        typer.echo(
            f"offerlog: the action map {action_map} is not in the log of this organization: is the id right?",
            err=True,
        )
    if not is_equal:
        typer.echo(
            f"offerlog: the report counts {found.count:,}, and the log holds"
            f" {format_count(counted, 'event')}: see `offerlog projections verify`",
            err=True,
        )
        raise typer.Exit(ExitCode.FOUND_WRONG)


def _show(one: "ExplainedEvent", form: Form) -> None:
    if form is Form.JSON:
        print_json(
            {
                "position": one.position,
                "stream": str(one.stream),
                "version": one.version,
                "event": one.state.value,
                "action_number": one.action_number,
                "occurred_at": format_time(one.occurred_at),
                "offered_at": format_time(one.offered_at),
                "recorded_at": format_time(one.recorded_at),
            }
        )
        return
    times = f"occurred {format_moment(one.occurred_at)}, recorded {format_moment(one.recorded_at)}"
    console().print(f"{one.position:>12,}  {one.stream} {one.version}  {times}", soft_wrap=True)
