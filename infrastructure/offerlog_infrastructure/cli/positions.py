"""Positions of the log as options."""

from typing import TYPE_CHECKING

from offerlog_infrastructure.cli.output import usage

if TYPE_CHECKING:
    from offerlog_application.ports.positions import LogPosition


def read_position(option: str, text: str | None) -> "LogPosition | None":
    """Return the position that an option holds; None without one.

    Args:
        option: The name of the option.
        text: Its value: a number, or a text with the positions of several servers.

    Raises:
        typer.BadParameter: It is not a position.
    """
    from offerlog_application.ports.positions import parse_position  # noqa: PLC0415 - --help need not wait for it

    if text is None:
        return None
    position = parse_position(text)
    if position is None:
        raise usage(f"{option}: {text!r} is not a position of the log")
    return position


def show_place(position: "LogPosition") -> str:
    """Return a position for people."""
    return f"{position:,}" if isinstance(position, int) else str(position)
