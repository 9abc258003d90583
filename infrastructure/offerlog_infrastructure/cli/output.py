"""How commands print: JSON for machines, tables for people."""

import json
import logging
import sys
from collections.abc import Sequence
from enum import StrEnum

import typer
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 1_000
"""Columns of what is no terminal."""


class Form(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"


class OneLine(logging.Formatter):
    """What is logged, on one line: the server's errors have several."""

    def format(self, record: logging.LogRecord) -> str:
        """As its class does."""
        return " ".join(super().format(record).split())


def json_line(value: object) -> str:
    """One value on one line; text stays readable, and what is no text cannot break the line."""
    line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return line.encode("utf-8", "backslashreplace").decode()


def print_json(value: object) -> None:
    """Print one value on one line."""
    sys.stdout.write(json_line(value) + "\n")


def printable(text: str) -> str:
    """Text from outside, safe to show: what would steer a terminal or break a line is spelt out."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def console(*, stderr: bool = False) -> Console:
    """Where tables go: as wide as they need to be when nobody is looking at a terminal."""
    probe = Console(stderr=stderr, highlight=False)
    return probe if probe.is_terminal else Console(stderr=stderr, highlight=False, width=_UNBOUNDED)


def table(out: Console, columns: Sequence[str], numbers: int = 0, title: str | None = None) -> Table:
    """An empty table; its last `numbers` columns are right-aligned. Ruled on a terminal, bare elsewhere."""
    made = Table(
        title=None if title is None else Text(title),
        box=box.SIMPLE_HEAD if out.is_terminal else None,
        title_justify="left",
        title_style="bold",
        padding=(0, 1) if out.is_terminal else (0, 2, 0, 0),
        pad_edge=False,
    )
    for place, column in enumerate(columns):
        number = place >= len(columns) - numbers
        made.add_column(column, justify="right" if number else "left", no_wrap=number)
    return made


def fits(out: Console, rows: Table) -> bool:
    """Whether a table can be shown there without cutting anything off."""
    roomy = out.options.update(width=_UNBOUNDED)
    return Measurement.get(out, roomy, rows).maximum <= out.width


def usage(message: str) -> typer.BadParameter:
    """A mistake in how the command was called: exit code 2."""
    return typer.BadParameter(message)
