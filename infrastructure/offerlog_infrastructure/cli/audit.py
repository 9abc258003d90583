"""The commands history, parked and refusals: recorded events, and signals that were not recorded."""

from collections.abc import Generator
from contextlib import closing
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from offerlog_application.ports.read_models import Order
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.map_options import (
    MAP_METAVAR,
    ActionMap,
    find_map,
    find_optional_map,
)
from offerlog_infrastructure.cli.moments import format_moment, read_optional_moment
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import (
    Customer,
    CustomerType,
    ListForm,
)
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.cli.timeline import Limit, print_timeline
from offerlog_infrastructure.presentation.documents import (
    describe_history,
    describe_kept_signal,
    describe_refusal_counts,
)
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.ports.read_models import KeptSignal, RefusalCounts
    from offerlog_application.reading.audit import History, HistoryEvent


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog history --customer 7f0c... --action-map 3b5e... --as-of 2026-11-22",
    )(history)
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog parked | head")(parked)
    app.command(
        cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog refusals --reason malformed --since 2026-11-22"
    )(refusals)


@spread_groups
def history(
    *,
    customer: Customer,
    action_map: ActionMap,
    customer_type: CustomerType = "cookie",
    version: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, metavar="N", help="The state after N events.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The state recorded by this time; UTC, or as yesterday, -7d."),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Refused offers, parked signals and refused signals too, in one time line."
        ),
    ] = False,
    limit: Limit = None,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """Show one visitor-offer from the log: now, at a version, or as it was at a time.

    With --all it shows every event and every refused signal of the pair, and
    for a second offer why nothing blocked it. `offerlog visitor` shows the
    same over all action maps.
    """
    if version is not None and as_of is not None:
        raise usage("give --version or --as-of, not both")
    if everything and version is not None:
        raise usage("--all shows bookkeeping too, which --version does not count: give --as-of with it")
    if limit is not None and not everything:
        raise usage("--limit goes with --all")
    moment = read_optional_moment(as_of, "--as-of")
    with store.open() as service:
        if everything:
            entries = service.timeline(
                customer_id=customer,
                customer_id_type=customer_type,
                action_map_id=find_map(service, action_map),
                as_of=moment,
            )
            print_timeline(entries, form, limit, with_maps=False)
            return
        found = service.history(
            customer_id=customer,
            customer_id_type=customer_type,
            action_map_id=find_map(service, action_map),
            version=version,
            as_of=moment,
        )
    if version is not None and 0 < found.version < version:
        raise usage(f"--version: the last version of this visitor-offer is {found.version}, not {version}")
    if form is Form.JSON:
        print_json(describe_history(found))
        return
    if not found.events:
        if not found.known:
            console().print("Nothing is known of this visitor and action map: see whether the ids are right.")
            return
        asked = "by then" if moment is not None else "at version 0" if version == 0 else "yet"
        console().print(f"Nothing had been recorded there {asked}.")
        return
    _show(found)


def _show(found: "History") -> None:
    """Print a history as a timeline, action by action."""
    out = console()
    out.print(f"[bold]{found.state}[/], version {found.version}; times in UTC")
    numbered = enumerate(found.events, start=1)
    for action, events in groupby(numbered, key=lambda one: one[1].action_id):
        out.print(f"\naction {action}")
        rows = table(out, ["version", "event", "occurred", "recorded"])
        rows.columns[1].min_width, rows.columns[1].overflow = len("abandoned"), "fold"
        for version, event in events:
            rows.add_row(
                str(version),
                _describe_event(event),
                format_moment(event.occurred_at),
                format_moment(event.recorded_at),
            )
        out.print(rows)


def _describe_event(event: "HistoryEvent") -> Text:
    """Describe an event: `rejected (form)`, `errored (00045: no socket)`, `offered (for 45 s)`."""
    error = ": ".join(part for part in (event.error_code, event.error_message) if part)
    timeout = f"for {event.timeout_seconds} s" if event.timeout_seconds else ""
    details = [part for part in (event.stage, error, timeout) if part]
    return Text(event.state + (f" ({spell_out(', '.join(details))})" if details else ""))


@spread_groups
def parked(store: StoreOptions) -> None:
    """List the signals that wait for their action, in order of arrival; one JSON object a line."""
    with store.open() as service:
        service.catch_up()
        _print_kept(service.parked())


@spread_groups
def refusals(
    *,
    reason: Annotated[Reason | None, typer.Option(help="Only refusals with this reason.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only from this time on; UTC, or as yesterday, -7d."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only before this time; UTC, or as yesterday, -7d."),
    ] = None,
    customer: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only of this visitor, as far as the texts name their visitor."),
    ] = None,
    customer_type: CustomerType = "cookie",
    action_map: Annotated[
        str | None,
        typer.Option(metavar=MAP_METAVAR, help="Only about this map, as far as the texts can be read."),
    ] = None,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Begin with the newest.")] = False,
    count: Annotated[
        bool,
        typer.Option(
            "--count", help="Count refusals by reason instead, in whole quarter-hours, deleted ones too."
        ),
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Delete refusals that are too old by the settings instead, in all organizations.",
        ),
    ] = False,
    form: Annotated[Form, typer.Option("--format", help="Output format of the counts.")] = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the refused signals with their text, oldest first; one JSON object a line.

    A refused signal belongs to a visitor if its text names one. The visitor
    need not be known: see also `offerlog visitor`.
    """
    start = read_optional_moment(since, "--since")
    end = read_optional_moment(until, "--until")
    if start is not None and end is not None and start >= end:
        raise usage("--since must be before --until")
    if count and (reason or customer is not None or action_map is not None or newest_first):
        raise usage("--count counts every refusal of a time: give --since and --until with it, nothing else")
    if prune and (count or reason or start or end or customer is not None or action_map or newest_first):
        raise usage("--prune goes by the age of refusals alone: leave the other options out")
    with store.open() as service:
        if prune:
            pruned = service.prune_refusals()
            with telling("the refusals are deleted"):
                print_json({"pruned": pruned})
        elif count:
            _print_counts(service.refusal_counts(since=start, until=end), form)
        else:
            _print_kept(
                service.refusals(
                    reason=reason,
                    since=start,
                    until=end,
                    order=Order.NEWEST if newest_first else Order.OLDEST,
                    customer_id=customer,
                    customer_id_type=customer_type,
                    action_map_id=find_optional_map(service, action_map),
                )
            )


def _print_counts(found: "RefusalCounts", form: Form) -> None:
    if form is Form.JSON:
        print_json(describe_refusal_counts(found))
        return
    out = console()
    if not found.counts:
        out.print("No signal was refused then.")
        return
    rows = table(out, ["reason", "refusals"], numbers=1, title=_counted_time(found))
    for reason, count in found.counts.items():
        rows.add_row(reason.value, f"{count:,}")
    rows.add_row("all", f"{sum(found.counts.values()):,}")
    out.print(rows)


def _counted_time(found: "RefusalCounts") -> str:
    """Describe the counted quarter-hours, which may begin before and end after the times of the options."""
    ends = [("from", found.since), ("until", found.until)]
    period = " ".join(f"{word} {moment.isoformat()}" for word, moment in ends if moment is not None)
    return f"Refused signals {period or 'of all time'}"


def _print_kept(kept: "Generator[KeptSignal]") -> None:
    with closing(kept):  # if the reader stops early, the query must not stay open
        for one in kept:
            print_json(describe_kept_signal(one))
