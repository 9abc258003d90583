"""The commands organizations: the tenants of a store."""

import sys
from typing import Annotated

import typer

from offerlog_application.wording import format_count
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.opening import Access, open_service
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import Data, KeyringFile, ListForm, Organization, Yes
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage
from offerlog_infrastructure.cli.streams import telling


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    organizations = typer.Typer(
        cls=OfferlogGroup,
        help="List the organizations of the store, and erase all visitors of one.",
        no_args_is_help=True,
        callback=between,
    )
    organizations.command(
        name="list", cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog organizations list"
    )(list_organizations)
    organizations.command(
        cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog organizations delete acme --yes"
    )(delete)
    app.add_typer(organizations, name="organizations")


@spread_groups
def list_organizations(
    *,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the organizations, with the number of visitors, refused signals and valid keys of each."""
    with store.open(Access.MAINTAIN, project=False) as service:
        found = service.organizations.contents()
    out = console()
    rows = table(out, ["organization", "visitors", "refusals", "keys"], numbers=3)
    for one in found:
        counts = {"visitors": one.visitors, "refusals": one.refusals, "keys": one.keys}
        if form is Form.JSON:
            print_json({"organization": one.name, **counts})
        rows.add_row(one.name, *(f"{count:,}" for count in counts.values()))
    if form is Form.TABLE:
        out.print(rows if found else "The store has no organization.")


def delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The organization.")],
    yes: Yes = False,
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Erase all visitors of an organization, revoke its keys, delete its refusals.

    Its webhooks and its subscriptions to the feed go last: a running service
    has a few seconds to send them the erasures.
    There is no way back. Counts stay, and so does the name of the
    organization in the log. Each visitor gets a receipt, as by `offerlog
    erase`. Visitors under a legal hold are left as they are (exit code 1).
    If it is interrupted, the same command continues.
    """
    from offerlog_application.erasure.organizations import DeletionProgress  # noqa: PLC0415 - --help need not wait
    from offerlog_application.ports.rebuilds import RebuildProgress  # noqa: PLC0415 - as above
    from offerlog_infrastructure.cli.event_bar import event_bar  # noqa: PLC0415 - as above

    del organization
    with open_service(data, keyring, name) as service:
        visitors = {one.name: one.visitors for one in service.organizations.contents()}[name]
        warning = f"{format_count(visitors, 'visitor')} of the organization {name!r} will be erased for good"
        if not yes:
            if not sys.stdin.isatty():
                raise usage(f"{warning}: give --yes to do it")
            typer.confirm(f"{warning}. Go on?", err=True, abort=True)
        with event_bar("erasing", "visitors") as show:

            def on_progress(step: DeletionProgress) -> None:
                show(RebuildProgress("erasing", step.done, step.total))

            on_progress(DeletionProgress(0, visitors))
            deleted = service.organization_deletion.delete(name, on_progress)
    with telling("the visitors are erased"):
        print_json(deleted._asdict())
    if deleted.webhooks_behind:
        typer.echo(
            f"offerlog: {format_count(deleted.webhooks_behind, 'webhook')} had not got all erasures: tell the"
            " receivers",
            err=True,
        )
    if deleted.held:
        typer.echo(
            f"offerlog: {format_count(deleted.held, 'visitor')} under a legal hold: see `offerlog hold list`",
            err=True,
        )
        raise typer.Exit(ExitCode.FAILED)
