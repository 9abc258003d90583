"""The commands of keys: the keys of the HTTP service."""

from typing import Annotated

import typer

from offerlog_application.ports.keys import (
    PUBLIC_ROLES,
    Key,
    NotAnOriginError,
    Role,
    UnknownKeyError,
    check_web_origin,
)
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.output import print_json, usage
from offerlog_infrastructure.cli.streams import check_output, telling
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.key_lifetimes import read_expiry
from offerlog_infrastructure.presentation.key_documents import describe_key, describe_new_key


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(
        cls=OfferlogGroup, help="Manage the keys of the HTTP service.", no_args_is_help=True, callback=between
    )
    keys.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog keys create --role reporter --name audit --expires 90d",
    )(create)
    keys.command(name="list", cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog keys list")(list_)
    keys.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog keys revoke 0a1b2c3d4e5f")(revoke)
    app.add_typer(keys, name="keys")


def _origin(text: str) -> str:
    try:
        return check_web_origin(text)
    except NotAnOriginError as error:
        raise usage(str(error)) from None


def _name(text: str) -> str:
    if not text.isprintable():
        raise usage(f"{text!r} is no name: give text on one line")
    return text


@spread_groups
def create(
    *,
    role: Annotated[Role, typer.Option(help="What the key may do; widget keys are safe in browsers.")],
    name: Annotated[str, typer.Option(parser=_name, metavar="TEXT", help="Purpose of the key.")] = "",
    origin: Annotated[
        list[str] | None,
        typer.Option(
            parser=_origin,
            metavar="ORIGIN",
            help="Web origin allowed to use this key; repeatable. [dim]https://shop.example[/]",
        ),
    ] = None,
    any_origin: Annotated[
        bool, typer.Option("--any-origin", help="Allow every web origin, for a widget or page key.")
    ] = False,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="End of the key: so many hours, days or weeks, or a time. [dim]12h, 90d, 52w, 2027-03-01[/]",
        ),
    ] = None,
    store: StoreOptions,
) -> None:
    """Make a key and print it once; only a digest is stored."""
    if any_origin and origin:
        raise usage("give --origin or --any-origin, not both")
    if role in PUBLIC_ROLES and not (any_origin or origin):
        raise usage(
            f"a {role} key is for the pages of a site: say with --origin https://shop.example of which one,"
            " or --any-origin"
        )
    expires_at = None
    if expires is not None:
        try:
            expires_at = read_expiry(expires, SystemClock().now())
        except ValueError as error:
            raise usage(f"--expires: {error}") from None
    check_output()
    with store.open(Access.ADD, project=False) as service:
        service.organizations.register(service.organization)
        service.keys.create(
            service.organization, role, name, origin or (), expires_at=expires_at, hand_over=_print_key
        )


def _print_key(key: Key, text: str) -> None:
    """Print a key before it is stored, because a stored key that nobody has seen is useless."""
    with telling("no key was made"):
        print_json(describe_new_key(key, text))


@spread_groups
def list_(store: StoreOptions) -> None:
    """List the organization's keys; one JSON object a line.

    Keys that were revoked or have expired are listed too. last_used_at may
    be some minutes behind the last use.
    """
    with store.open(project=False) as service:
        for key in service.keys.all(service.organization):
            print_json(describe_key(key))


@spread_groups
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it.")],
    store: StoreOptions,
) -> None:
    """Revoke a key; running services refuse it within seconds."""
    with store.open(project=False) as service:
        try:
            revoked = service.keys.revoke(service.organization, key_id)
        except UnknownKeyError:
            owners = [
                name
                for name in service.organizations.names()
                if any(key.id == key_id for key in service.keys.all(name))
            ]
            if not owners:
                raise
            raise usage(
                f"key {key_id!r} is of organization {owners[0]}, not {service.organization}:"
                f" give --organization {owners[0]}"
            ) from None
    with telling("the key is revoked"):
        print_json(describe_key(revoked))
