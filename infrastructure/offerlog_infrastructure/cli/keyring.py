"""The commands keyring: the keys that encrypt the keys of the store."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import ListForm, Yes
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.presentation.documents import format_optional_time

if TYPE_CHECKING:
    from offerlog_application.ports.master_keys import MasterKey, RotationProgress


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    keyring = typer.Typer(
        cls=OfferlogGroup,
        help="List, rotate and retire the keys of the keyring, which encrypt the keys of the store.",
        no_args_is_help=True,
        callback=between,
    )
    keyring.command(name="list", cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog keyring list")(
        list_keys
    )
    keyring.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog keyring rotate")(rotate)
    keyring.command(
        cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog keyring retire 4be2f0c1a87d3356 --yes"
    )(retire)
    app.add_typer(keyring, name="keyring")


@spread_groups
def list_keys(
    *,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the keys: when each was made, and how many keys of the store it encrypts.

    The current one encrypts every new key. A former one that encrypts
    nothing can be retired. Over several servers, the keys of all of them
    count.
    """
    with store.open(Access.MAINTAIN, project=False) as service:
        found = service.master_keys.list()
    if form is Form.JSON:
        for one in found:
            print_json(_describe(one))
        return
    out = console()
    rows = table(out, ["key", "current", "made", "used since", "visitors", "organizations"], numbers=2)
    for one in found:
        times = [format_optional_time(moment) or "-" for moment in (one.made_at, one.used_since)]
        counts = [f"{one.visitors:,}", f"{one.organizations:,}"]
        rows.add_row(one.id, "yes" if one.is_current else "no", *times, *counts)
    out.print(rows)


def _describe(key: "MasterKey") -> dict[str, object]:
    return {
        "key": key.id,
        "current": key.is_current,
        "made_at": format_optional_time(key.made_at),
        "used_since": format_optional_time(key.used_since),
        "visitors": key.visitors,
        "organizations": key.organizations,
    }


@spread_groups
def rotate(store: StoreOptions) -> None:
    """Make a new current key, and encrypt every key of the store with it.

    Over several servers, every key of all of them. Services may run
    meanwhile, and use the new key at once. Events are not touched. If it is
    interrupted, the same command continues and makes no further key. Replace
    the copies of the keyring afterwards. The former key stays in the
    keyring, for backups and other stores: see `offerlog keyring retire`.
    """
    from offerlog_application.ports.rebuilds import RebuildProgress  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.cli.event_bar import event_bar  # noqa: PLC0415 - as above

    with (
        store.open(Access.MAINTAIN, project=False) as service,
        event_bar("encrypting keys", "keys") as show,
    ):

        def on_progress(step: "RotationProgress") -> None:
            show(RebuildProgress("encrypting keys", step.done, step.total))

        done = service.master_keys.rotate(on_progress)
    with telling("every key of the store is encrypted with the current key"):
        print_json(
            {
                "key": done.key_id,
                "resumed": done.is_resumed,
                "visitors": done.visitors,
                "organizations": done.organizations,
            }
        )


@spread_groups
def retire(
    *,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key, as `offerlog keyring list` shows it.")],
    yes: Yes = False,
    store: StoreOptions,
) -> None:
    """Remove a former key from the keyring, for good.

    Refused while it encrypts a key of the store, or of any of several
    servers. Whatever else needs it can never be opened again: backups from
    before the rotation, and other stores with the same keyring that were not
    rotated.
    """
    with store.open(Access.MAINTAIN, project=False) as service:
        warning = f"backups and other stores that need the key {key} can never be opened again"
        if not yes:
            if not sys.stdin.isatty():
                raise usage(f"{warning}: give --yes to remove it")
            typer.confirm(f"{warning}. Remove it?", err=True, abort=True)
        service.master_keys.retire(key)
    with telling("the key is removed"):
        print_json({"retired": key})
