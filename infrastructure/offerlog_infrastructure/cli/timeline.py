"""The commands visitor and visitors, and the time line that `history --all` shares with it."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.map_options import MAP_METAVAR, find_optional_map
from offerlog_infrastructure.cli.moments import format_moment, read_optional_moment
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import Customer, CustomerType, ListForm
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage
from offerlog_infrastructure.cli.report_options import OnlyMediaType
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.ports.recent_visitors import RecentVisitor
    from offerlog_application.reading.analysis import VisitorOverview
    from offerlog_application.reading.timeline import TimelineEntry
    from offerlog_domain.identity import ActionMapId

_NO_MAP: Final = "action map not readable"
_NEVER_SEEN: Final = "This visitor has never been seen: see whether the id and --customer-type are right."
_NO_OFFERS: Final = (
    "No offer was made to this visitor. The time line shows what was refused or waits, `offerlog access` all"
    " that is held."
)
_EMPTY: Final = (
    "Nothing is known: see whether the ids, --customer-type and the time are right. Offers that the vendor"
    " has blocked are not in the time line: `offerlog access` shows them."
)
_RECENT: Final = ("recorded (UTC)", "newest event", "action map", "visitor")
_MAPS_SHOWN: Final = 10_000
_PAGE: Final = 1_000

Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="Show so many entries at most.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog visitor --customer 7f0c... --as-of 2026-11-22"
    )(visitor)
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog visitors --limit 20")(visitors)


@spread_groups
def visitor(
    *,
    customer: Customer,
    customer_type: CustomerType = "cookie",
    action_map: Annotated[
        str | None,
        typer.Option(metavar=MAP_METAVAR, help="Only this action map. [dim]Default: all of them[/]"),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="What was recorded by this time; UTC, or as yesterday, -7d."),
    ] = None,
    limit: Limit = None,
    states: Annotated[
        bool, typer.Option("--states", help="Show the state of each action map instead.")
    ] = False,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """Show everything that is known of a visitor, over all action maps, in one time line.

    Every event of the log: states of actions, refused offers, parked signals
    and what ended them. And every refused signal whose text names the
    visitor. For a second offer it says why nothing blocked it.
    """
    moment = read_optional_moment(as_of, "--as-of")
    if states:
        if moment is not None or action_map is not None:
            raise usage("--states is of all action maps and of now: leave --as-of and --action-map out")
        with store.open() as service:
            service.catch_up()
            print_states(
                service.analysis.visitor(
                    customer_id=customer, customer_id_type=customer_type, limit=limit or _MAPS_SHOWN
                ),
                form,
            )
        return
    with store.open() as service:
        found = service.timeline(
            customer_id=customer,
            customer_id_type=customer_type,
            action_map_id=find_optional_map(service, action_map),
            as_of=moment,
        )
        print_timeline(found, form, limit, with_maps=action_map is None)


@spread_groups
def visitors(
    *,
    media_type: OnlyMediaType = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show so many at most.")] = 20,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the visitors with the newest activity, the newest first.

    Each visitor once, with the newest event: a state, a refused offer or a
    parked signal. `offerlog visitor` shows the time line of each. With
    --media-type, those who were made an offer of this type; the newest
    event may be of another.
    """
    from offerlog_infrastructure.presentation.analysis_documents import describe_recent_visitor  # noqa: PLC0415 - --help need not wait for it

    out, shown, place = console(), 0, None
    with store.open() as service:
        if media_type is not None:  # by the projections, unlike the rest
            service.catch_up()
        while shown < limit:
            page = service.analysis.recent_visitors(
                behind=place, limit=min(_PAGE, limit - shown), media_type=media_type
            )
            names = service.analysis.map_names([one.action_map_id for one in page.visitors])
            if form is Form.JSON:
                for one in page.visitors:
                    print_json(describe_recent_visitor(one, names))
            elif page.visitors:
                _print_recent(out, page.visitors, names, with_headings=not shown)
            shown += len(page.visitors)
            place = page.behind
            if place is None:
                break
    if form is Form.TABLE and not shown:
        nothing = f"No {media_type} was ever offered" if media_type else "Nothing was ever recorded"
        out.print(f"{nothing} here.")


def _print_recent(
    out: Console, found: "Sequence[RecentVisitor]", names: "Mapping[ActionMapId, str]", *, with_headings: bool
) -> None:
    """Print a page of visitors in columns that are as wide as the page needs; a line may be folded."""
    lines = [list(_RECENT)] if with_headings else []
    for one in found:
        of_map = names.get(one.action_map_id) or one.action_map_id
        moment = format_moment(one.recorded_at)
        lines.append([moment, one.event, spell_out(of_map), f"{one.customer_id_type} {one.customer_id}"])
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for *cells, visitor in lines:
        shown = (set_cell_size(cell, width) for cell, width in zip(cells, widths[:-1], strict=True))
        out.print(Text("  ".join([*shown, spell_out(visitor)])), soft_wrap=True)


def print_states(found: "VisitorOverview", form: Form) -> None:
    """Print the state of every action map for a visitor."""
    from offerlog_infrastructure.presentation.analysis_documents import describe_offer_of_visitor  # noqa: PLC0415 - --help need not wait for it

    if form is Form.JSON:
        print_json(
            {"known": found.is_known, "items": [describe_offer_of_visitor(one) for one in found.offers]}
        )
        return
    out = console()
    if not found.offers:
        out.print(_NO_OFFERS if found.is_known else _NEVER_SEEN)
        return
    rows = table(out, ["action map", "state", "since (UTC)", "suppressed", "offers", "blocked"], numbers=2)
    for one in found.offers:
        state = one.state if one.stage is None else f"{one.state} ({one.stage})"
        heading = " ".join(filter(None, [spell_out(one.action_map_name or ""), one.action_map_id]))
        suppressed = "yes" if one.is_suppressed else "no"
        counts = [f"{number:,}" for number in (one.actions, one.blocked_offers)]
        rows.add_row(Text(heading), state, format_moment(one.since), suppressed, *counts)
    out.print(rows)


def print_timeline(
    found: "Generator[TimelineEntry]", form: Form, limit: int | None, *, with_maps: bool
) -> None:
    """Print a time line entry by entry: it may be long.

    Args:
        found: The entries.
        form: Sentences under a heading, or one JSON object a line.
        limit: The most entries to print; None for all.
        with_maps: True to name the action map wherever it changes.
    """
    from offerlog_infrastructure.presentation.timelines import (  # noqa: PLC0415 - --help need not wait for it
        describe_timeline_entry,
        tell_timeline_entry,
    )

    with closing(found):
        entries = islice(found, limit)
        if form is Form.JSON:
            for entry in entries:
                print_json(describe_timeline_entry(entry))
            return
        out, shown, map_before = console(), 0, ""
        for entry in entries:
            if not shown:
                out.print("Recorded (UTC), place in the stream, and what happened:")
            action_map = entry.action_map_id or _NO_MAP
            if with_maps and action_map != map_before:
                out.print(f"\naction map {action_map}" if entry.action_map_id else f"\n{_NO_MAP}")
            map_before = action_map
            place = "-" if entry.version is None else str(entry.version)
            line = f"{format_moment(entry.recorded_at)}  {place:>4}  {tell_timeline_entry(entry)}"
            out.print(Text(spell_out(line)), soft_wrap=True)
            shown += 1
        if not shown:
            out.print(_EMPTY)
        elif shown == limit and next(found, None) is not None:
            out.print(f"There is more: these are the first {shown:,} entries.")
