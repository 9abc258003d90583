"""`--data`, `--organization`, `--customer-type`: every command takes them, before its name or behind it."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand


class Command(TyperCommand):
    """A command that also takes, unshown, those of the three options that it has no use for.

    A script may then give the same options to every command.
    """

    def __init__(self, name: str | None, **told: Any) -> None:
        super().__init__(name, **told)
        known = {parameter.name for parameter in self.params}
        self.params += [one for one in _unused_options() if one.name not in known]


def _unused(
    data: Annotated[str, typer.Option("--data", hidden=True, expose_value=False)] = "",
    organization: Annotated[str, typer.Option("--organization", hidden=True, expose_value=False)] = "",
    customer_type: Annotated[str, typer.Option("--customer-type", hidden=True, expose_value=False)] = "",
) -> None:
    """Never called: it declares the options."""


def _unused_options() -> list[Any]:
    declared = typer.Typer(add_completion=False)
    declared.command()(_unused)
    return [one for one in typer.main.get_command(declared).params if one.name != "help"]


def hand_down(context: typer.Context, given: dict[str, str | None]) -> None:
    """Make what was given before the command's name the defaults behind it."""
    told = {name: value for name, value in given.items() if value is not None}
    context.default_map = _defaults(context.command, told)


def _defaults(command: Any, told: dict[str, str]) -> dict[str, Any]:
    inner = getattr(command, "commands", None)
    return told if inner is None else {name: _defaults(one, told) for name, one in inner.items()}
