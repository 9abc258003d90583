"""The command config: every setting, its value and where it comes from."""

from pathlib import Path

import typer
from rich.text import Text

from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.opening import warn_of_unknown_variables
from offerlog_infrastructure.cli.options import Data, KeyringFile, ListForm, Organization
from offerlog_infrastructure.cli.output import Form, console, print_json, table
from offerlog_infrastructure.presentation.escaping import spell_out


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog config --config ./shop.toml")(config)


def config(
    form: ListForm = Form.TABLE,
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Show every setting, its value, and where it comes from.

    An option wins over an environment variable, that over the settings
    file, and that over the default. Passwords are masked. The store is not
    opened. `--config FILE` names the settings file.
    """
    from offerlog_infrastructure.cli.settings_list import list_settings  # noqa: PLC0415 - --help need not wait for it

    warn_of_unknown_variables()
    listed = list_settings({"data": _text(data), "keyring": _text(keyring), "organization": organization})
    out = console()
    rows = table(out, ["setting", "value", "from"])
    for one in listed:
        if form is Form.JSON:
            print_json(
                {"setting": one.name, "value": one.value, "from": one.origin.value, "place": one.place}
            )
        value = "-" if one.value is None else str(one.value)
        origin = one.origin.value if one.place is None else f"{one.origin.value} {one.place}"
        rows.add_row(*(Text(spell_out(cell)) for cell in (one.name, value, origin)))
    if form is Form.TABLE:
        out.print(rows)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
