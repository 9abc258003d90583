"""The output of commands: JSON for programs, tables for people."""

import csv
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

import typer
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from offerlog_domain.errors import ArgumentError, OfferlogError
from offerlog_infrastructure.presentation.escaping import escape_json, spell_out

_UNBOUNDED = 1_000
"""The width of output that is not a terminal."""


class Form(StrEnum):
    """The output format of a list."""

    TABLE = "table"
    JSON = "json"


class OneLine(logging.Formatter):
    """A formatter that puts a message on one printable line: errors of the server have several lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        return spell_out(" ".join(super().format(record).split()))


def json_line(value: object) -> str:
    """Encode a value as one line of JSON: readable, without control characters for a terminal."""
    line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return escape_json(line.encode("utf-8", "backslashreplace").decode())


def print_json(value: object) -> None:
    """Print one value on one line."""
    sys.stdout.write(json_line(value) + "\n")


def print_csv(rows: Iterable[Sequence[object]]) -> None:
    """Print rows as CSV; on a terminal, unprintable characters are spelled out."""
    if sys.stdout.isatty():
        rows = [[spell_out(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    csv.writer(sys.stdout).writerows(rows)


def console(*, stderr: bool = False) -> Console:
    """Return the console for tables; outside a terminal it is as wide as they need."""
    probe = Console(stderr=stderr, highlight=False)
    return probe if probe.is_terminal else Console(stderr=stderr, highlight=False, width=_UNBOUNDED)


def table(out: Console, columns: Sequence[str], numbers: int = 0, title: str | None = None) -> Table:
    """Make an empty table, ruled on a terminal; its last `numbers` columns are right-aligned.

    A title that is wider than the table is wrapped only if it is also wider than the terminal.
    """
    made = Table(
        title=None if title is None else Text(title, no_wrap=len(title) <= out.width, overflow="ignore"),
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
    """Return whether a table can be shown there without cutting anything."""
    roomy = out.options.update(width=_UNBOUNDED)
    return Measurement.get(out, roomy, rows).maximum <= out.width


class UsageError(OfferlogError, typer.BadParameter):
    """A mistake in the call, as the command found it."""

    def format_message(self) -> str:
        """Return the message; typer adds the option's name where it knows the option."""
        return self.message if self.param is None and self.param_hint is None else super().format_message()


def usage(message: str) -> UsageError:
    """Make the error of a wrong call: exit code 2, and a hint at the command's help."""
    return UsageError(message)


def usage_of(error: ArgumentError, **options: str) -> UsageError:
    """Make the error of a wrong call from an argument that the service refuses.

    Args:
        error: The refusal. Its message may begin with the name of the argument.
        options: The option of an argument that has another name on the command line.
    """
    option = options.get(error.argument, f"--{error.argument.replace('_', '-')}")
    return usage(f"{option}: {str(error).removeprefix(f'{error.argument}: ')}")


@contextmanager
def refusing_arguments(**options: str) -> Iterator[None]:
    """Report an argument that the service refuses as a wrong call, with the name of its option.

    Args:
        options: As of `usage_of`.
    """
    try:
        yield
    except ArgumentError as error:
        raise usage_of(error, **options) from None
