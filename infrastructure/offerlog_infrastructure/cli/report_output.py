"""The output of reports: a table for people, or JSON, CSV, Excel or Parquet, printed or written to a file."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from offerlog_application.wording import format_count
from offerlog_infrastructure.cli.options import file_name
from offerlog_infrastructure.cli.output import console, json_line, print_csv, print_json, usage
from offerlog_infrastructure.export.destinations import open_file
from offerlog_infrastructure.export.report_files import (
    BYTE_ORDER_MARK,
    FileFormat,
    Sheet,
    csv_rows,
    encode_sheet,
)


class Format(StrEnum):
    """The output format of a report."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"


_BINARY: Final = frozenset({Format.XLSX, Format.PARQUET})

AskedFormat = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="Output format. [dim]Default: table; with --output, the end of the file's name[/]",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        parser=file_name,
        metavar="FILE",
        help="Write to this file, and print nothing. In a folder, the name carries the range.",
        show_default=False,
    ),
]
ByteOrderMark = Annotated[bool, typer.Option("--bom", help="Begin CSV with a byte order mark, for Excel.")]


def remark_missing(short_by: int) -> None:
    """Say on standard error that a report counts too few events, and where to look; silent for 0."""
    if short_by:
        console(stderr=True).print(
            f"short by {format_count(short_by, 'event')}: see offerlog projections dead-letters"
        )


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The options for the output of a report."""

    form: AskedFormat = None
    output: Output = None
    mark: ByteOrderMark = False

    def choose_format(self) -> Format:
        """Return the format; the errors are those of `choose_format`."""
        return choose_format(self.form, self.output)

    def put_out(self, form: Format, sheet: Sheet, document: Callable[[], object]) -> None:
        """Print a report, or write it to a file, in any format but a table; as `put_out`."""
        put_out(form, self.output, sheet, document, mark=self.mark)


def choose_format(form: Format | None, output: Path | None) -> Format:
    """Return the format that was asked for, by the end of the file's name if by nothing else.

    Raises:
        UsageError: The format cannot be printed, or the file's name does not say one.
    """
    if output is None:
        if form in _BINARY:
            raise usage(f"--format {form} goes to a file: give --output")
        return form or Format.TABLE
    if form is Format.TABLE:
        raise usage("--output takes --format json, csv, xlsx or parquet")
    if form is None:
        ending = output.suffix.removeprefix(".").lower()
        if ending == Format.TABLE or ending not in {*Format}:
            raise usage(
                f"--output {output}: give a name that ends with .json, .csv, .xlsx or .parquet, or --format"
            )
        return Format(ending)
    return form


def put_out(
    form: Format,
    output: Path | None,
    sheet: Sheet,
    document: Callable[[], object],
    *,
    mark: bool = False,
) -> None:
    """Print a report as JSON or CSV, or write it to a file in any format but a table.

    Args:
        form: The format, not `TABLE`.
        output: The file, or a folder for it; None to print.
        sheet: The report as a table.
        document: Describes the report for JSON.
        mark: True to begin CSV with a byte order mark.

    Raises:
        ExtraMissingError: The format needs a package that is not installed.
        ExportPlaceError: The file cannot be written. What was there before is untouched.
    """
    if output is None:
        if form is Format.JSON:
            print_json(document())
            return
        if mark:
            sys.stdout.write(BYTE_ORDER_MARK.decode())
        print_csv(csv_rows(sheet))
        return
    place = output / sheet.file_name(form) if output.is_dir() else output
    with open_file(place) as file:
        if form is Format.JSON:
            file.write(json_line(document()).encode() + b"\n")
        else:
            file.writelines(encode_sheet(sheet, FileFormat(form), _go_on, mark=mark))


def _go_on() -> None:
    """Nobody calls a command off between two rows."""
