"""The commands events follow and events subscriptions: the feed on standard output."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from offerlog_domain.errors import ArgumentError
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.map_options import OnlyMaps
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import ListForm, OnlyTypes
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage, usage_of
from offerlog_infrastructure.cli.positions import read_position, show_place
from offerlog_infrastructure.cli.report_options import OnlyMediaType
from offerlog_infrastructure.presentation.documents import format_optional_time
from offerlog_infrastructure.presentation.escaping import spell_out
from offerlog_infrastructure.presentation.feed_documents import describe_subscription

if TYPE_CHECKING:
    from offerlog_application.feed.feed_event import FeedEvent
    from offerlog_application.feed.filters import FeedFilter
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.positions import LogPosition


def add_to(events: typer.Typer) -> None:
    """Add the commands to the group `events`."""
    events.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog events follow --type engaged --format json",
    )(follow)
    events.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog events subscriptions")(
        subscriptions
    )


@spread_groups
def follow(
    *,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="POSITION",
            help="Begin after this position. [dim]Default: the subscription's, else 0[/]",
            show_default=False,
        ),
    ] = None,
    types: OnlyTypes = None,
    action_maps: OnlyMaps = None,
    media_type: OnlyMediaType = None,
    subscription: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Go on from this cursor, and move it when events are printed."),
    ] = None,
    identified: Annotated[
        bool, typer.Option("--identified", help="Also print customer id, session, action and error.")
    ] = False,
    until_now: Annotated[
        bool, typer.Option("--until-now", help="Stop at the present end of the log.")
    ] = False,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """Print the events of the log by position, and go on as more are recorded.

    With `--format json`, each line is a CloudEvent. The erasure of a visitor
    is printed whatever the types and action maps. Ctrl-C ends it.
    """
    from offerlog_application.feed.filters import FeedFilter  # noqa: PLC0415 - --help need not wait for it

    with store.open(project=False) as service:
        try:
            maps = service.analysis.find_action_maps(action_maps or ())
            wanted = FeedFilter.parse(types or (), maps, media_type)
            start = _find_start(service, read_position("--after", after), subscription)
            end = service.feed.end() if until_now else None
            _print_events(service, start, end, wanted, subscription, form=form, identified=identified)
        except ArgumentError as error:
            raise usage_of(error, types="--type", name="--subscription", position="--after") from None


def _find_start(service: "Offerlog", after: "LogPosition | None", subscription: str | None) -> "LogPosition":
    """Return the position after which to begin; a subscription that is not there is made."""
    from offerlog_application.ports.positions import latest_position  # noqa: PLC0415 - as above

    if subscription is None:
        return after or 0
    is_new = subscription not in {one.name for one in service.subscriptions.all()}
    own = service.subscriptions.acknowledge(subscription, after or 0).position
    if is_new:
        typer.echo(
            f"offerlog: {subscription!r} is a new subscription, which begins after position"
            f" {show_place(own)}",
            err=True,
        )
    if after is not None and latest_position([after, own]) != after:
        raise usage(
            f"the subscription {subscription!r} is at {show_place(own)}, and never moves back: leave --after"
            " out, or delete the subscription"
        )
    return own


def _print_events(
    service: "Offerlog",
    start: "LogPosition",
    end: "LogPosition | None",
    wanted: "FeedFilter",
    subscription: str | None,
    *,
    form: Form,
    identified: bool,
) -> None:
    from offerlog_application.ports.positions import latest_position  # noqa: PLC0415 - as above

    if end is not None and latest_position([start, end]) == start:
        return
    waits_for = ""
    for page in service.feed.follow(start, wanted=wanted, identified=identified):
        for one in page.events:
            _print_event(one, form)
        sys.stdout.flush()
        if subscription is not None:
            service.subscriptions.acknowledge(subscription, page.position)
        if end is not None and latest_position([page.position, end]) == page.position:
            return
        now_waits_for = "; ".join(map(str, page.waits_for))
        if now_waits_for not in {"", waits_for}:
            typer.echo(f"offerlog: {spell_out(now_waits_for)}; its events follow when that is over", err=True)
        waits_for = now_waits_for


def _print_event(one: "FeedEvent", form: Form) -> None:
    from offerlog_application.feed.cloud_events import describe_event  # noqa: PLC0415 - as above

    if form is Form.JSON:
        print_json(describe_event(one))
        return
    when = format_optional_time(one.occurred_at) or "-"
    customer = "" if one.identity is None else f"  {spell_out(one.identity.id)}"
    sys.stdout.write(f"{one.position:>10,}  {when:<27}  {one.name:<14}  {one.subject}{customer}\n")


@spread_groups
def subscriptions(
    *,
    delete: Annotated[
        str | None, typer.Option(metavar="NAME", help="Delete this subscription, and list the others.")
    ] = None,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the subscriptions to the feed, with their lag in events and seconds.

    A subscription is a cursor with a name. `offerlog events follow` makes
    one, and so does the HTTP service.
    """
    with store.open(project=False) as service:
        if delete is not None:
            service.subscriptions.delete(delete)
        found = service.subscriptions.all()
    out = console()
    rows = table(out, ["subscription", "acknowledged", "cursor", "lag (events)", "lag (seconds)"], numbers=3)
    for one in found:
        if form is Form.JSON:
            print_json(describe_subscription(one))
        age = "unreadable" if one.lag_seconds is None else f"{one.lag_seconds:.1f}"
        moved = format_optional_time(one.moved_at) or "never"
        rows.add_row(one.name, moved, show_place(one.position), f"{one.lag_events:,}", age)
    if form is Form.TABLE:
        out.print(rows if found else "There is no subscription.")
