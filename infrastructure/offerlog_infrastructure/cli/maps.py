"""The commands of maps: the policies of action maps."""

from typing import Annotated

import typer

from offerlog_domain.errors import ArgumentError
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.map_options import MAP_METAVAR, find_map
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.output import print_json, usage
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.presentation.policy_documents import describe_policy, describe_policy_change

_MapId = Annotated[str, typer.Argument(metavar=MAP_METAVAR, help="The action map, by id or unique name.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    maps = typer.Typer(
        cls=OfferlogGroup,
        help="Set for how long an action map does not ask a visitor again.",
        no_args_is_help=True,
        callback=between,
    )
    maps.command(
        name="set",
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog maps set 3b5e... --suppress-for ignored=30d",
    )(set_policy)
    maps.command(name="list", cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog maps list")(
        list_policies
    )
    maps.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog maps history 3b5e...")(history)
    app.add_typer(maps, name="maps")


@spread_groups
def set_policy(
    action_map: _MapId,
    *,
    suppress_for: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE=TIME",
            help="Time for which a terminal state suppresses the offer; repeatable. [dim]ignored=30d[/]",
        ),
    ] = None,
    for_ever: Annotated[
        bool, typer.Option("--for-ever", help="Let every terminal state suppress the offer for ever.")
    ] = False,
    by: Annotated[str, typer.Option(metavar="TEXT", help="Who sets it; stays in the log.")] = "",
    store: StoreOptions,
) -> None:
    """Set the policy of an action map, in place of the one before.

    A terminal state that is not named suppresses the offer for ever. The
    policy holds for earlier suppressions, too: a visitor whose time is over
    may get a new offer at once. Every running service obeys it.
    """
    from offerlog_domain.action_map_policies import (  # noqa: PLC0415 - --help need not wait for it
        check_policy,
    )
    from offerlog_infrastructure.suppression_times import (  # noqa: PLC0415 - as above
        read_suppression_times,
    )

    if bool(suppress_for) == for_ever:
        raise usage("give --suppress-for STATE=TIME, such as ignored=30d, or --for-ever")
    try:
        times = read_suppression_times(_split(suppress_for or []))
        check_policy(times)
    except ArgumentError as error:
        raise usage(f"--suppress-for: {error}") from None
    with store.open(Access.ADD, project=False) as service:
        service.organizations.register(service.organization)
        map_id = find_map(service, action_map)
        service.policies.set(map_id, times, set_by=by)
        policy = service.policies.find(map_id)
    with telling("the policy is set"):
        print_json(describe_policy(map_id, policy))


def _split(texts: list[str]) -> dict[str, str]:
    """Split texts STATE=TIME; each state stands once."""
    times: dict[str, str] = {}
    for text in texts:
        state, equals, time = text.partition("=")
        if not equals:
            raise usage(f"--suppress-for: {text!r} is not STATE=TIME, such as ignored=30d")
        if state in times:
            raise usage(f"--suppress-for: {state} is given twice")
        times[state] = time
    return times


@spread_groups
def list_policies(store: StoreOptions) -> None:
    """List the action maps with a policy, with the policy in force; one JSON object a line."""
    with store.open(project=False) as service:
        for action_map, policy in service.policies.all().items():
            print_json(describe_policy(action_map, policy))


@spread_groups
def history(action_map: _MapId, store: StoreOptions) -> None:
    """List every policy of an action map that was set, oldest first, from the log; one JSON object a line."""
    with store.open(project=False) as service:
        map_id = find_map(service, action_map)
        for change in service.policies.changes(map_id):
            print_json(describe_policy_change(map_id, change))
