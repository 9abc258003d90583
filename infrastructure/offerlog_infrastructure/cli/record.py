"""The command record: signals from files into the log."""

import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.lines import STDIN, Line, Source
from offerlog_infrastructure.cli.opening import Access, open_service
from offerlog_infrastructure.cli.options import Data, KeyringFile, Organization
from offerlog_infrastructure.cli.output import console, json_line, table, usage
from offerlog_infrastructure.cli.streams import OutputLostError, check_output, drop_output, telling
from offerlog_infrastructure.presentation.documents import describe_outcome
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.recording.batches import Receipt
    from offerlog_domain.outcomes import Outcome

_IN_FLIGHT: Final = 2
"""The most batches without an answer: reading continues while earlier ones are written."""

Tally = Counter[tuple[str, str | None]]
"""The number of signals by outcome and reason."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog record monday.ndjson.gz --outcomes judged.ndjson",
    )(record)


def record(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="NDJSON files, also .gz; - is stdin.")],
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
    outcomes: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.ndjson", help="Write the outcome of each signal to this file; - is stdout."
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=100_000, help="Number of lines that are decided as one batch.")
    ] = 1000,
) -> None:
    """Record signals: NDJSON, one a line, in either of the vendor's forms.

    Each signal is recorded, a duplicate, parked until earlier signals of
    its action arrive, or refused with a reason. A bad line does not end the
    run, and a second run of a file changes nothing. Returns when reports
    show the signals.
    """
    _check_call(files, outcomes)
    tally: Tally = Counter()
    to_stderr = outcomes == STDIN
    with ExitStack() as held:
        opened = _checked(files, held)
        service = held.enter_context(open_service(data, keyring, organization, Access.WRITE))
        written: TextIO | None = sys.stdout if to_stderr else None
        if outcomes is not None and not to_stderr:
            written = held.enter_context(_opened(outcomes))
        try:
            record_files(service, files, batch_size, written, tally, opened)
        except (OSError, OutputLostError):  # a file broke off: the outcomes before it count
            if tally:
                show_outcomes(tally, to_stderr=to_stderr)
            raise
    with telling("what the files hold is recorded"):
        show_outcomes(tally, to_stderr=to_stderr)


def _check_call(files: list[Path], outcomes: Path | None) -> None:
    """Check that the files can be read and the outcomes printed.

    Raises:
        typer.BadParameter: A file is missing, is a folder, may not be read or would be overwritten.
        OutputError: The outcomes go to standard output, which is closed.
    """
    for path in files:
        if path != STDIN and not path.exists():
            raise usage(f"{path}: there is no such file")
        if path.is_dir():
            raise usage(f"{path} is a folder: give its files")
        if path != STDIN and not os.access(path, os.R_OK):
            raise usage(f"{path}: it cannot be read")
        if outcomes is not None and path.is_file() and outcomes.is_file() and path.samefile(outcomes):
            raise usage(f"--outcomes {outcomes} would overwrite the signals in it")
    if files.count(STDIN) > 1:
        raise usage("standard input can be read only once: give - once")
    if outcomes == STDIN:
        check_output()


def _checked(files: list[Path], held: ExitStack) -> dict[Path, Source]:
    """Check all files before anything is recorded or a store is made.

    Returns:
        Files that can be read only once, such as standard input; `held` closes them.

    Raises:
        NotSignalsError: One of the files is not NDJSON.
    """
    opened: dict[Path, Source] = {}
    for path in files:
        if path.is_file():
            with closing(Source(path)) as source:
                source.check()
        else:
            source = opened[path] = Source(path)
            held.callback(source.close)
            source.check()
    return opened


def record_files(
    service: "Offerlog",
    files: list[Path],
    batch_size: int,
    written: TextIO | None,
    tally: Tally,
    opened: Mapping[Path, Source] = MappingProxyType({}),
) -> None:
    """Record every line of every file, with a progress bar on a terminal; counts the outcomes in `tally`.

    Args:
        service: The service to record with.
        files: The files, in order.
        batch_size: Lines per batch.
        written: The file for the outcomes, or None.
        tally: Counts the outcomes.
        opened: The files that are open already.

    Raises:
        OSError: A file broke off; the signals before are recorded, and the projections show them.
        OutputLostError: The outcomes cannot be printed; the signals before are recorded.
    """
    position = 0
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[signals]:,} signals, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    ) as progress:
        try:
            for path in files:
                name = str(path) if len(files) > 1 else None
                seen, began = 0, time.monotonic()
                with closing(opened.get(path) or Source(path)) as source:
                    task = progress.add_task(spell_out(str(path)), total=source.size, signals=0, rate=0.0)
                    for batch, receipt in _recorded(service, source, batch_size):
                        position = max(position, receipt.position or 0)
                        seen += len(batch)
                        for outcome in receipt.outcomes:
                            tally[outcome.kind.value, outcome.reason.value if outcome.reason else None] += 1
                        if written is not None and not _write(written, batch, receipt, name):
                            written = None
                        rate = seen / (time.monotonic() - began)
                        progress.update(task, completed=source.read_so_far(), signals=seen, rate=rate)
        except (OSError, OutputLostError):
            service.wait(position)
            raise
    # Duplicates may come from a run that was killed before the projections showed them.
    service.catch_up()


@contextmanager
def _opened(outcomes: Path) -> Iterator[TextIO]:
    stream = outcomes.open("w", encoding="utf-8")
    try:
        yield stream
    except BaseException:
        with suppress(OSError):  # closing tries to write again; the error has been reported
            stream.close()
        raise
    stream.close()


def _write(written: TextIO, batch: "list[Line]", receipt: "Receipt", file: str | None) -> bool:
    """Write the outcomes of a batch; returns False if their reader is gone; recording goes on.

    Raises:
        OSError: The file cannot be written; the error names it.
        OutputLostError: Standard output cannot be written.
    """
    try:
        pairs = zip(batch, receipt.outcomes, strict=True)
        written.writelines(json_line(_describe_line(line, outcome, file)) + "\n" for line, outcome in pairs)
        written.flush()
    except BrokenPipeError:
        if written is sys.stdout:
            drop_output()
        return False
    except OSError as error:
        if written is sys.stdout:
            raise OutputLostError(
                error, "what came so far is recorded, and sending it again is safe"
            ) from error
        raise OSError(error.errno, error.strerror, written.name) from error
    return True


def _recorded(service: "Offerlog", source: Source, batch_size: int) -> "Iterator[tuple[list[Line], Receipt]]":
    """Yield the batches of a file with their receipts, in order; a broken file ends after its last line."""
    waiting: deque[tuple[list[Line], Future[Receipt]]] = deque()
    broken: OSError | None = None
    try:
        for batch in _batches(source, batch_size):
            waiting.append((batch, _submit(service, batch)))
            if len(waiting) >= _IN_FLIGHT:
                first, future = waiting.popleft()
                yield first, service.answer_of(future)
    except OSError as error:
        broken = error
    while waiting:
        first, future = waiting.popleft()
        yield first, service.answer_of(future)
    if broken is not None:
        raise broken


def _batches(source: Source, batch_size: int) -> Iterator[list[Line]]:
    batch: list[Line] = []
    try:
        for line in source.lines():
            batch.append(line)
            if len(batch) == batch_size:
                yield batch
                batch = []
    except OSError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _submit(service: "Offerlog", batch: list[Line]) -> "Future[Receipt]":
    from offerlog_application.recording.submissions import OverloadedError  # noqa: PLC0415 - loaded with the service

    while True:
        try:
            return service.submit([line.text for line in batch])
        except OverloadedError as overloaded:
            time.sleep(overloaded.retry_after)


def _describe_line(line: Line, outcome: "Outcome", file: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"line": line.number}
    if file is not None:
        entry = {"file": file, **entry}
    return entry | describe_outcome(outcome)


def show_outcomes(tally: Tally, *, to_stderr: bool = False) -> None:
    """Print how many signals had which outcome."""
    total = sum(tally.values())
    out = console(stderr=to_stderr)
    title = "1 signal" if total == 1 else f"{total:,} signals"
    rows = table(out, ["outcome", "reason", "signals", "share"], numbers=2, title=title)
    for (kind, reason), count in sorted(tally.items(), key=lambda item: (item[0][0], -item[1])):
        rows.add_row(kind, reason or "", f"{count:,}", f"{count / total:.1%}")
    out.print(rows if total else "no signals")
