"""The commands offer, eligibility and suppressions: the offers that a visitor may get."""

from contextlib import closing
from typing import Annotated

import typer

from offerlog_domain.lifecycle import MediaType
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.map_options import MAP_METAVAR, ActionMap, find_map
from offerlog_infrastructure.cli.opening import Access, open_service
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import (
    Customer,
    CustomerType,
    Data,
    KeyringFile,
    Organization,
)
from offerlog_infrastructure.cli.output import print_json, usage
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.presentation.documents import (
    describe_eligibility,
    describe_offer,
    describe_suppression,
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog suppressions --customer 7f0c...")(
        suppressions
    )
    app.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog eligibility --customer 7f0c... --action-map 3b5e...",
    )(eligibility)
    app.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog offer --customer 7f0c... --action-map 3b5e... --session 9a01...",
    )(offer)


def suppressions(
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="List the maps that must not offer to this visitor.")
    ] = None,
    customer_type: CustomerType = "cookie",
    action_map: Annotated[
        str | None,
        typer.Option(metavar=MAP_METAVAR, help="List the visitors that this map must not offer to."),
    ] = None,
) -> None:
    """List which visitors must not be offered which maps again.

    An earlier action ended as engaged, abandoned, rejected, ignored or
    timedout, or a content offer as accepted. Give either a visitor or an
    action map. One JSON object a line.
    """
    if (customer is None) == (action_map is None):
        raise usage("give either --customer or --action-map")
    if customer is not None:
        from offerlog_domain.identity import parse_visitor_key  # noqa: PLC0415 - --help need not wait for it

        parse_visitor_key(customer_id=customer, customer_id_type=customer_type)
    with open_service(data, keyring, organization) as service:
        service.catch_up()
        if customer is not None:
            for one in service.suppressions(customer, customer_type):
                print_json(describe_suppression(one))
            return
        with closing(service.suppressed_visitors(find_map(service, action_map or ""))) as found:
            for one in found:
                print_json(describe_suppression(one))


@spread_groups
def eligibility(
    *,
    customer: Customer,
    action_map: ActionMap,
    customer_type: CustomerType = "cookie",
    store: StoreOptions,
) -> None:
    """Show whether a map may offer to a visitor now, and why not; nothing is recorded."""
    with store.open() as service:
        found = service.check_eligibility(
            customer_id=customer,
            action_map_id=find_map(service, action_map),
            customer_id_type=customer_type,
        )
    print_json(describe_eligibility(found))


@spread_groups
def offer(
    *,
    customer: Customer,
    action_map: ActionMap,
    session: Annotated[str, typer.Option(metavar="ID", help="Id of the visit.")],
    action: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Your own action id; the same id gets the same decision again."),
    ] = None,
    action_map_version: Annotated[int | None, typer.Option(metavar="N", help="The map's version.")] = None,
    timeout_seconds: Annotated[
        int | None, typer.Option(metavar="N", help="Seconds after which the widget withdraws the invitation.")
    ] = None,
    media_type: Annotated[
        MediaType, typer.Option("--media-type", help="Media type of the offer.")
    ] = MediaType.WEBCHAT,
    customer_type: CustomerType = "cookie",
    store: StoreOptions,
) -> None:
    """Ask whether to offer, and record the offer if so, in one step.

    If several callers ask at the same moment, one of them gets the offer.
    A blocked caller gets the reason.
    """
    with store.open(Access.WRITE) as service:
        decision = service.offer(
            customer_id=customer,
            customer_id_type=customer_type,
            action_map_id=find_map(service, action_map),
            session_id=session,
            action_id=action,
            action_map_version=action_map_version,
            timeout_seconds=timeout_seconds,
            media_type=media_type,
        )
    with telling(f"the decision is recorded, and `--action {decision.action_id}` gives the same one again"):
        print_json(describe_offer(decision))
