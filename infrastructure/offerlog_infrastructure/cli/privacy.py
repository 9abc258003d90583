"""The commands erase, access and hold: the rights of visitors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from offerlog_infrastructure.cli.erasure_requests import erase_file
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.lines import STDIN
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import Customer, CustomerType, ListForm, file_name
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog

_COMPACTED: Final = (
    "offerlog: the places of former rows are free; their bytes stay in the files until the places are used"
    " again. --rewrite removes them"
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog erase --customer 7f0c...")(erase)
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog access --customer 7f0c...")(access)
    holds = typer.Typer(
        cls=OfferlogGroup,
        help="Legal holds: visitors who may not be erased for a while.",
        no_args_is_help=True,
        callback=between,
    )
    holds.command(
        "set",
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog hold set --customer 7f0c... --reason 'lawsuit 12/2026'",
    )(set_hold)
    holds.command("list", cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog hold list")(list_holds)
    holds.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog hold lift --customer 7f0c...")(lift)
    app.add_typer(holds, name="hold")


@spread_groups
def erase(
    *,
    customer: Annotated[
        str | None, typer.Option(metavar="ID", help="The visitor to erase.", show_default=False)
    ] = None,
    customer_type: CustomerType = "cookie",
    file: Annotated[
        Path | None,
        typer.Option(
            parser=file_name,
            metavar="FILE",
            help="Erase the visitors of this file: a JSON object or `ID[,TYPE]` a line; - is stdin.",
            show_default=False,
        ),
    ] = None,
    compact: Annotated[
        bool,
        typer.Option("--compact", help="Free the places of former rows; their bytes stay until reused."),
    ] = False,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Write the tables into new files; locks each meanwhile.")
    ] = False,
    store: StoreOptions,
) -> None:
    """Erase visitors: nothing that identifies them can be read any more.

    All counts stay. Signals that arrive later begin a new life. There is no
    way back. Prints a receipt; with --file one JSON object a line, and goes
    on after a line that fails. Exit code 1 if the visitor was not erased;
    with --file, nothing being held of a visitor does not count.
    """
    if customer is not None and file is not None:
        raise usage("give either --customer or --file")
    if customer is None and file is None and not (compact or rewrite):
        raise usage("give --customer, --file, --compact or --rewrite")
    if file is not None and file != STDIN and not file.is_file():
        raise usage(f"{file}: " + ("it is a folder" if file.is_dir() else "there is no such file"))
    from offerlog_application.ports.erasure import NoSuchVisitorError  # noqa: PLC0415 - --help need not wait

    failed = 0
    with store.open() as service:
        try:
            if customer is not None:
                _erase_one(service, customer, customer_type)
            elif file is not None:
                failed = erase_file(service, file, customer_type)
        except NoSuchVisitorError:  # an earlier call may have erased the visitor, and left remains
            _remove_remains(service, compact=compact, rewrite=rewrite)
            raise
        _remove_remains(service, compact=compact, rewrite=rewrite)
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _erase_one(service: "Offerlog", customer: str, kind: str) -> None:
    from offerlog_infrastructure.presentation.privacy_documents import (  # noqa: PLC0415 - --help need not wait
        describe_erasure,
    )

    erasure = service.erase(customer_id=customer, customer_id_type=kind)
    with telling("the visitor is erased"):
        print_json(describe_erasure(erasure))


def _remove_remains(service: "Offerlog", *, compact: bool, rewrite: bool) -> None:
    if compact or rewrite:
        service.remove_remains(rewrite=rewrite)
        if not rewrite:
            typer.echo(_COMPACTED, err=True)


@spread_groups
def access(
    *,
    customer: Customer,
    customer_type: CustomerType = "cookie",
    store: StoreOptions,
) -> None:
    """Show all that is held of a visitor, decrypted, with where it lies; one JSON object."""
    from offerlog_domain.identity import parse_visitor_key  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.presentation.privacy_documents import (  # noqa: PLC0415 - as above
        describe_visitor_data,
    )

    with store.open() as service:
        service.catch_up()
        held = service.visitor_data(customer_id=customer, customer_id_type=customer_type)
        visitor = parse_visitor_key(customer_id=customer, customer_id_type=customer_type)
        print_json(describe_visitor_data(service.organization, visitor, held))


@spread_groups
def set_hold(
    *,
    customer: Customer,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Shown whenever the visitor is to be erased.")],
    customer_type: CustomerType = "cookie",
    store: StoreOptions,
) -> None:
    """Forbid to erase a visitor until the hold is lifted; or change the reason."""
    with store.open() as service:
        service.hold_visitor(customer_id=customer, customer_id_type=customer_type, reason=reason)


@spread_groups
def list_holds(
    *,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the visitors who may not be erased."""
    from offerlog_infrastructure.presentation.privacy_documents import (  # noqa: PLC0415 - --help need not wait
        describe_hold,
    )

    with store.open() as service:
        holds = service.legal_holds()
    described: list[dict[str, Any]] = [describe_hold(hold) for hold in holds]
    if form is Form.JSON:
        for one in described:
            print_json(one)
        return
    out = console()
    rows = table(out, ["customer", "type", "since", "reason"])
    for one in described:
        rows.add_row(*(Text(spell_out(value)) for value in one.values()))
    out.print(rows if holds else "There are no legal holds.")


@spread_groups
def lift(
    *,
    customer: Customer,
    customer_type: CustomerType = "cookie",
    store: StoreOptions,
) -> None:
    """Lift a legal hold: the visitor may be erased again. Exit code 1 if there was none."""
    with store.open() as service:
        lifted = service.lift_hold(customer_id=customer, customer_id_type=customer_type)
    if not lifted:
        typer.echo("offerlog: there was no legal hold on this visitor", err=True)
        raise typer.Exit(ExitCode.FAILED)
