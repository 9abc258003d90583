"""Base classes of all commands: five options before or after a command's name, and the help of flags."""

import copy
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from offerlog_infrastructure.cli.output import usage

_FILES: Final = frozenset({"config", "data", "keyring", "files", "outcomes"})
"""Parameters that name files, which may have any bytes."""


class OfferlogGroup(TyperGroup):
    """A group of commands whose help shows flags without a type."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the group's options."""
        return _typeless_flags(super().get_params(ctx))


class OfferlogCommand(TyperCommand):
    """A command that also accepts the options of `_unused`, hidden.

    It ignores those that it does not need, so a script can give the same options to every command. `--config`
    names the settings file before the command runs.
    """

    def __init__(self, name: str | None, **options: Any) -> None:
        super().__init__(name, **options)
        known = {parameter.name for parameter in self.params}
        self.params += [copy.copy(one) for one in _unused_options() if one.name not in known]
        for one in self.params:
            if one.name not in _FILES:
                one.process_value = _checking(one)  # type: ignore[assignment, method-assign] # the way in to all its values

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's options and arguments."""
        return _typeless_flags(super().get_params(ctx))


def _checking(parameter: Any) -> Callable[[Any, Any], Any]:
    """Return a reader of a parameter that first rejects bytes that are not UTF-8."""
    read: Callable[[Any, Any], Any] = parameter.process_value

    def checked(context: Any, value: Any) -> Any:
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str):
                _check_text(text)
        return read(context, value)

    return checked


def _check_text(text: str) -> None:
    """Check that an argument is text.

    Raises:
        typer.BadParameter: It holds bytes that are not UTF-8. Python reads those as lone surrogates.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(text).decode("utf-8", "backslashreplace")
        raise usage(f"'{shown}' is not UTF-8: give text in UTF-8") from None


def _typeless_flags(params: list[Any]) -> list[Any]:
    """Remove the type that typer shows for flags, which take no value."""
    for one in params:
        if getattr(one, "is_flag", False):
            one.metavar = ""
    return params


def _choose(name: str | None) -> None:
    """Read settings from this file; without a name, from that of the environment, or the usual one."""
    from offerlog_infrastructure.settings_file import choose_settings_file  # noqa: PLC0415 - --help need not wait for it

    if name == "":
        raise usage("an empty name is no file; leave it out for the usual one")
    choose_settings_file(None if name is None else Path(name))


def _unused(
    data: Annotated[str, typer.Option("--data", hidden=True, expose_value=False)] = "",
    keyring: Annotated[str, typer.Option("--keyring", hidden=True, expose_value=False)] = "",
    organization: Annotated[str, typer.Option("--organization", hidden=True, expose_value=False)] = "",
    customer_type: Annotated[str, typer.Option("--customer-type", hidden=True, expose_value=False)] = "",
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="FILE", hidden=True, expose_value=False, callback=_choose),
    ] = None,
) -> None:
    """Declare the options; never called."""


@cache
def _unused_options() -> list[Any]:
    declared = typer.Typer(add_completion=False)
    declared.command()(_unused)
    return [one for one in typer.main.get_command(declared).params if one.name != "help"]


def between(
    context: typer.Context,
    data: Annotated[str | None, typer.Option("--data", hidden=True)] = None,
    keyring: Annotated[str | None, typer.Option("--keyring", hidden=True)] = None,
    organization: Annotated[str | None, typer.Option("--organization", hidden=True)] = None,
    customer_type: Annotated[str | None, typer.Option("--customer-type", hidden=True)] = None,
    config: Annotated[str | None, typer.Option("--config", hidden=True)] = None,
) -> None:
    """Take the options between a group's name and the command's name."""
    given = {
        "data": data,
        "keyring": keyring,
        "organization": organization,
        "customer_type": customer_type,
        "config": config,
    }
    hand_down(context, given)


def hand_down(context: typer.Context, given: dict[str, str | None]) -> None:
    """Make options before the command's name the defaults of the options after it."""
    options = {name: value for name, value in given.items() if value is not None}
    context.default_map = _defaults(context.command, options, dict(context.default_map or {}))


def _defaults(command: Any, options: dict[str, str], known: dict[str, Any]) -> dict[str, Any]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return known | options
    return {name: _defaults(one, options, known.get(name, {})) for name, one in inner.items()}
