"""A file of requests for erasure: one a line, each answered on a line."""

import csv
import io
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.cli.lines import STDIN
from offerlog_infrastructure.cli.output import console, print_json
from offerlog_infrastructure.cli.streams import telling

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog

_HEADERS: Final = ("customer_id", "customerid", "customer", "id")
"""First cells of a line of CSV that names the columns, in small letters."""

_MARK: Final = "\ufeff"
"""The byte order mark, with which some programs begin a text."""

_NAMES: Final = ("customer_id", "customerId")
_TYPE_NAMES: Final = ("customer_id_type", "customerIdType")
_MOST_CELLS: Final = 2


class _BadRequestError(OfferlogError, ValueError):
    """A line is not a request."""


def erase_file(service: "Offerlog", path: Path, usual_type: str) -> int:
    """Erase the visitors of a file, one after the other, and print what became of each line.

    Args:
        service: The service.
        path: The file; `-` is standard input.
        usual_type: The type of the ids of lines that state none.

    Returns:
        How many lines were not carried out; that nothing is held of a visitor does not count.

    Raises:
        OSError: The file cannot be read. What was erased before stays erased.
        StoreUnavailableError: The store cannot be reached. What was erased before stays erased, and standard
            error says which line was the last that was answered.
    """
    failed = answered = 0
    with ExitStack() as held:
        lines = _read_stdin() if path == STDIN else held.enter_context(_open_lines(path))
        bar = held.enter_context(
            Progress(
                TextColumn("erasing"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console(stderr=True),
                disable=not sys.stderr.isatty(),
                transient=True,
            )
        )
        task = bar.add_task("erasing", total=None if path == STDIN else _count_lines(path))
        for number, line in enumerate(lines, 1):
            try:
                answer = _answer(service, number, line, usual_type)
            except OfferlogError:
                typer.echo(f"offerlog: line {answered} was the last that was answered", err=True)
                raise
            answered = number
            bar.advance(task)
            if answer is not None:
                failed += answer["result"] not in {"erased", "unknown"}
                with telling("the visitors of the lines before are erased"):
                    print_json({"line": number, **answer})
    return failed


def _answer(service: "Offerlog", number: int, line: str, usual_type: str) -> dict[str, Any] | None:
    """Carry out a line; returns what became of it, None for an empty line or one that names columns."""
    from offerlog_infrastructure.presentation.privacy_documents import (  # noqa: PLC0415 - loaded with the service
        describe_erasure,
    )

    try:
        request = _read_request(line.removeprefix(_MARK) if number == 1 else line, usual_type)
        if request is None or (number == 1 and request.is_cells and request.id.lower() in _HEADERS):
            return None
        erasure = service.erase(customer_id=request.id, customer_id_type=request.type)
    except OfferlogError as error:
        return _describe_failure(error)
    return {"result": "erased", **describe_erasure(erasure)}


def _describe_failure(error: OfferlogError) -> dict[str, Any]:
    """Return what became of a line that was not carried out; raise an error that concerns all lines."""
    from offerlog_application.ports.erasure import (  # noqa: PLC0415 - loaded with the service
        ErasureUnfinishedError,
        LegalHoldError,
        NoSuchVisitorError,
    )
    from offerlog_application.ports.event_log import (  # noqa: PLC0415 - as above
        ClosedError,
        StoreUnavailableError,
    )
    from offerlog_application.ports.store_trouble import StoreTrouble  # noqa: PLC0415 - as above
    from offerlog_domain.signals import MalformedSignalError  # noqa: PLC0415 - as above

    if isinstance(error, ClosedError):
        raise error
    if isinstance(error, StoreUnavailableError) and error.trouble is not StoreTrouble.LOCKED:
        raise error
    if isinstance(error, NoSuchVisitorError):
        return {"result": "unknown"}
    results = {
        _BadRequestError: "malformed",
        MalformedSignalError: "malformed",
        LegalHoldError: "held",
        ErasureUnfinishedError: "unfinished",
    }
    return {"result": results.get(type(error), "failed"), "error": str(error)}


class _Request(NamedTuple):
    """The visitor of a line; `is_cells` is True for a line of CSV."""

    id: str
    type: str
    is_cells: bool


def _read_request(line: str, usual_type: str) -> _Request | None:
    """Read the visitor of a line; None for an empty line. Spaces of an id belong to the id.

    Raises:
        _BadRequestError: It is neither JSON nor one or two cells of CSV.
    """
    text = line.rstrip("\r\n")
    if not text.strip():
        return None
    if text.lstrip().startswith("{"):
        return _read_object(text, usual_type)
    try:
        (cells,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise _BadRequestError(f"the line is not CSV: {error}") from error
    if len(cells) > _MOST_CELLS:
        raise _BadRequestError(f"a line has an id and a type, not {len(cells)} cells")
    kind = cells[1] if len(cells) == _MOST_CELLS else ""
    return _Request(cells[0], kind or usual_type, is_cells=True)


def _read_object(text: str, usual_type: str) -> _Request:
    try:
        request = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _BadRequestError(f"the line is not JSON: {error}") from error
    found = [request[name] for name in _NAMES if name in request]
    kinds = [request[name] for name in _TYPE_NAMES if name in request] or [usual_type]
    if len(found) != 1 or len(kinds) != 1 or not all(isinstance(one, str) for one in found + kinds):
        raise _BadRequestError("the object needs customer_id, and may have customer_id_type, as texts")
    return _Request(found[0], kinds[0] or usual_type, is_cells=False)


def _count_lines(path: Path) -> int | None:
    """Count the lines of a file; None if it can be read only once."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _read_stdin() -> TextIO:
    """Return standard input, read as a file is."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    return sys.stdin


def _open_lines(path: Path) -> TextIO:
    """Open a file. A line that is not UTF-8 keeps its bytes as surrogates, which no id may have."""
    return path.open(encoding="utf-8", errors="surrogateescape", newline="\n")
