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


def between(
    context: typer.Context,
    data: Annotated[str | None, typer.Option("--data", hidden=True)] = None,
    organization: Annotated[str | None, typer.Option("--organization", hidden=True)] = None,
    customer_type: Annotated[str | None, typer.Option("--customer-type", hidden=True)] = None,
) -> None:
    """The callback of a group of commands: takes the options between its name and the command's."""
    hand_down(context, {"data": data, "organization": organization, "customer_type": customer_type})


def hand_down(context: typer.Context, given: dict[str, str | None]) -> None:
    """Make what was given before the command's name the defaults behind it."""
    told = {name: value for name, value in given.items() if value is not None}
    context.default_map = _defaults(context.command, told, dict(context.default_map or {}))


def _defaults(command: Any, told: dict[str, str], known: dict[str, Any]) -> dict[str, Any]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return known | told
    return {name: _defaults(one, told, known.get(name, {})) for name, one in inner.items()}
