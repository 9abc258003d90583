"""How commands print: JSON for machines, tables for people."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import typer
from rich import box
from rich.console import Console
from rich.table import Table

_UNBOUNDED = 1_000
"""Columns of what is no terminal."""


def stamp(moment: datetime | None) -> str | None:
    """An instant as RFC 3339 in UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def json_line(value: object) -> str:
    """One value on one line; text stays readable, and what is no text cannot break the line."""
    line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return line.encode("utf-8", "backslashreplace").decode()


def print_json(value: object) -> None:
    """Print one value on one line."""
    sys.stdout.write(json_line(value) + "\n")


def console(*, stderr: bool = False) -> Console:
    """Where tables go: as wide as they need to be when nobody is looking at a terminal."""
    probe = Console(stderr=stderr, highlight=False)
    return probe if probe.is_terminal else Console(stderr=stderr, highlight=False, width=_UNBOUNDED)


def table(title: str | None, columns: Sequence[str], numbers: int = 0) -> Table:
    """An empty table; its last `numbers` columns are right-aligned."""
    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        number = place >= len(columns) - numbers
        made.add_column(column, justify="right" if number else "left", no_wrap=number)
    return made


def usage(message: str) -> typer.BadParameter:
    """A mistake in how the command was called: exit code 2."""
    return typer.BadParameter(message)
