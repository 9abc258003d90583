"""The commands of webhooks: addresses to which the service sends events."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from offerlog_domain.errors import ArgumentError
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.map_options import OnlyMaps
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import OnlyTypes
from offerlog_infrastructure.cli.output import print_json, usage, usage_of
from offerlog_infrastructure.cli.positions import read_position
from offerlog_infrastructure.cli.streams import check_output, telling
from offerlog_infrastructure.durations import read_period
from offerlog_infrastructure.presentation.webhook_documents import (
    describe_attempt,
    describe_delivery,
    describe_new_webhook,
    describe_watched_webhook,
    describe_webhook,
    describe_webhook_lag,
)

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog

Id = Annotated[str, typer.Argument(metavar="ID", help="The webhook's id, as `list` shows it.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    webhooks = typer.Typer(
        cls=OfferlogGroup,
        help="Send events to other systems: signed, in order, and again until they arrive.",
        no_args_is_help=True,
        callback=between,
    )
    examples: dict[Callable[..., None], str] = {
        create: "create https://shop.example/offerlog --type engaged",
        list_: "list",
        show: "show wh_0a1b2c3d4e5f6071",
        send_test: "test wh_0a1b2c3d4e5f6071",
        disable: "disable wh_0a1b2c3d4e5f6071",
        enable: "enable wh_0a1b2c3d4e5f6071",
        rotate: "rotate wh_0a1b2c3d4e5f6071 --keep 12h",
        dead_letters: "dead-letters wh_0a1b2c3d4e5f6071",
        send_again: "send-again wh_0a1b2c3d4e5f6071 4711",
        delete: "delete wh_0a1b2c3d4e5f6071",
    }
    for command, example in examples.items():
        webhooks.command(
            name=example.split(maxsplit=1)[0],
            cls=OfferlogCommand,
            epilog=f"[dim]Example:[/] offerlog webhooks {example}",
        )(command)
    app.add_typer(webhooks, name="webhooks")


@contextmanager
def _opened(store: StoreOptions, access: Access = Access.READ) -> "Iterator[Offerlog]":
    """Open the service; an argument that it refuses is a wrong call."""
    with store.open(access, project=False) as service:
        try:
            yield service
        except ArgumentError as error:
            raise usage_of(error, url="URL", types="--type", position="POSITION", after="--after") from None


@spread_groups
def create(
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of the receiver, with https.")],
    types: OnlyTypes = None,
    action_maps: OnlyMaps = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="POSITION",
            help="Begin after this position of the log, 0 for all of it. [dim]Default: its end[/]",
            show_default=False,
        ),
    ] = None,
    store: StoreOptions,
) -> None:
    """Make a webhook, and print its secret once.

    A running `offerlog serve` delivers. The receiver checks the signature
    with the secret; nobody can read it again, but `rotate` makes another.
    """
    check_output()
    begin = read_position("--after", after)
    with _opened(store, Access.ADD) as service:
        service.organizations.register(service.organization)
        maps = service.analysis.find_action_maps(action_maps or ())
        made = service.webhooks.create(url, types=types or (), action_maps=maps, after=begin)
    with telling(f"the webhook {made.endpoint.id} is made, and its secret is lost: rotate it"):
        print_json(describe_new_webhook(made))


@spread_groups
def list_(store: StoreOptions) -> None:
    """List the organization's webhooks with lag and counts; one JSON object a line."""
    with _opened(store) as service:
        for one in service.webhooks.all():
            print_json(describe_webhook_lag(one))


@spread_groups
def show(endpoint: Id, store: StoreOptions) -> None:
    """Show a webhook with its lag, and the events that could not be delivered."""
    with _opened(store) as service:
        print_json(describe_watched_webhook(service.webhooks.watch(endpoint)))


@spread_groups
def send_test(endpoint: Id, store: StoreOptions) -> None:
    """Send a test message now, and print the result. Exit code 1: it was not delivered."""
    with _opened(store) as service:
        result = service.webhooks.test(endpoint)
    print_json(describe_attempt(result))
    if not result.is_delivered:
        raise typer.Exit(1)


@spread_groups
def disable(endpoint: Id, store: StoreOptions) -> None:
    """Send nothing more; the cursor stays, so `enable` misses no event."""
    with _opened(store) as service:
        print_json(describe_webhook(service.webhooks.disable(endpoint)))


@spread_groups
def enable(
    *,
    endpoint: Id,
    skip: Annotated[
        bool, typer.Option("--skip", help="Leave out what was recorded up to now, and what waits.")
    ] = False,
    store: StoreOptions,
) -> None:
    """Send again, from where it was disabled."""
    with _opened(store) as service:
        print_json(describe_webhook(service.webhooks.enable(endpoint, skip=skip)))


@spread_groups
def rotate(
    *,
    endpoint: Id,
    keep: Annotated[
        str, typer.Option(metavar="TIME", help="The former secret signs for so long, too. [dim]12h, 7d[/]")
    ] = "24h",
    store: StoreOptions,
) -> None:
    """Give a webhook another secret, and print it once."""
    try:
        period = read_period(keep)
    except ValueError as error:
        raise usage(f"--keep: {error}") from None
    check_output()
    with _opened(store) as service:
        assert isinstance(period, timedelta)  # noqa: S101 - of a text, it is one
        made = service.webhooks.rotate(endpoint, keep=period)
    with telling(f"the webhook {endpoint} has another secret, and it is lost: rotate again"):
        print_json(describe_new_webhook(made))


@spread_groups
def dead_letters(endpoint: Id, store: StoreOptions) -> None:
    """List the events that were given up, up to 1,000; one JSON object a line."""
    with _opened(store) as service:
        for one in service.webhooks.dead_letters(endpoint):
            print_json(describe_delivery(one))


@spread_groups
def send_again(
    *,
    endpoint: Id,
    position: Annotated[
        int | None,
        typer.Argument(metavar="POSITION", help="The id of one event; without it, all dead letters."),
    ] = None,
    store: StoreOptions,
) -> None:
    """Try dead letters again; a running service sends them.

    They come behind events that were recorded later: `sequence` in the event
    gives its place in the visitor-offer.
    """
    with _opened(store) as service:
        print_json({"webhook": endpoint, "waiting": service.webhooks.send_again(endpoint, position)})


@spread_groups
def delete(endpoint: Id, store: StoreOptions) -> None:
    """Delete a webhook, with all that waits for it and its dead letters."""
    with _opened(store) as service:
        service.webhooks.delete(endpoint)
    print_json({"deleted": endpoint})
