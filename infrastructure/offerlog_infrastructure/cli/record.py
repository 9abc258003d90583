"""The command record: signals from files into the log."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from offerlog_application.ports.positions import LogPosition, latest_position
from offerlog_application.wording import format_count
from offerlog_infrastructure.cli.batches_in_order import answers_in_order
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.lines import STDIN, Line, Source
from offerlog_infrastructure.cli.opening import Access, open_service
from offerlog_infrastructure.cli.options import Data, KeyringFile, Organization, file_name, read_process_count
from offerlog_infrastructure.cli.output import console, table, usage
from offerlog_infrastructure.cli.recording import (
    BatchRecorder,
    LocalRecorder,
    RecordingProcessError,
    Tally,
)
from offerlog_infrastructure.cli.streams import OutputLostError, check_output, drop_output, telling
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_infrastructure.cli.recording_processes import RecordingProcesses

_BROKEN: Final = (OSError, OutputLostError, RecordingProcessError)
"""Errors behind which the outcomes before them are shown."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog record monday.ndjson.gz --outcomes judged.ndjson",
    )(record)


def record(
    files: Annotated[
        list[Path],
        typer.Argument(parser=file_name, metavar="FILE", help="NDJSON files, also .gz; - is stdin."),
    ],
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
    outcomes: Annotated[
        Path | None,
        typer.Option(
            parser=file_name,
            metavar="OUT.ndjson",
            help="Write the outcome of each signal to this file; - is stdout.",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=100_000, help="Number of lines that are decided as one batch.")
    ] = 1000,
    processes: Annotated[
        str,
        typer.Option(metavar="N", help="Processes that record; [dim]auto[/] for one a core."),
    ] = "1",
) -> None:
    """Record signals: NDJSON, one a line, in either of the vendor's forms.

    Each signal is recorded, a duplicate, parked until earlier signals of
    its action arrive, or refused with a reason. A bad line does not end the
    run, and a second run of a file changes nothing. Returns when reports
    show the signals.
    """
    check_call(files, outcomes)
    count = read_process_count("--processes", processes)
    tally: Tally = Counter()
    to_stderr = outcomes == STDIN
    with ExitStack() as held:
        opened = _checked(files, held)
        recorder = None if count == 1 else _fork(held, count, data, keyring, organization)
        service = held.enter_context(
            open_service(data, keyring, organization, Access.WRITE, project=recorder is None)
        )
        written: TextIO | None = sys.stdout if to_stderr else None
        if outcomes is not None and not to_stderr:
            written = held.enter_context(_opened(outcomes))
        try:
            record_files(service, files, batch_size, written, tally, opened, recorder)
        except _BROKEN:  # a file broke off, or a process died: the outcomes before it count
            if tally:
                show_outcomes(tally, to_stderr=to_stderr)
            raise
    with telling("what the files hold is recorded"):
        show_outcomes(tally, to_stderr=to_stderr)


def _fork(
    held: ExitStack, count: int, data: Path | None, keyring: Path | None, organization: str | None
) -> "RecordingProcesses":
    """Fork the processes that record; `held` ends them."""
    import offerlog_infrastructure.composition  # noqa: F401, PLC0415 - loaded once, for all of them
    from offerlog_infrastructure.cli.commands import describe_error  # noqa: PLC0415 - a circle: it loads this command
    from offerlog_infrastructure.cli.exit_codes import code_of  # noqa: PLC0415 - as above
    from offerlog_infrastructure.cli.recording_processes import RecordingProcesses  # noqa: PLC0415 - only for several

    def open_one(project: bool) -> "Offerlog":  # noqa: FBT001 - the call of the processes
        return open_service(data, keyring, organization, Access.MAINTAIN, project=project, is_first=False)

    return held.enter_context(
        RecordingProcesses(count, open_one, lambda error: (describe_error(error), code_of(error)))
    )


def check_call(files: list[Path], outcomes: Path | None = None) -> None:
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
    processes: "RecordingProcesses | None" = None,
) -> None:
    """Record every line of every file, with a progress bar on a terminal; counts the outcomes in `tally`.

    Args:
        service: The service to record with.
        files: The files, in order.
        batch_size: Lines per batch.
        written: The file for the outcomes, or None.
        tally: Counts the outcomes.
        opened: The files that are open already.
        processes: Record in these processes; None to record in this one.

    Raises:
        OSError: A file broke off; the signals before are recorded, and the projections show them.
        RecordingProcessError: A process that records died; the answered signals are recorded.
        OutputLostError: The outcomes cannot be printed; the signals before are recorded.
    """
    position: LogPosition | None = None
    recorder: BatchRecorder = LocalRecorder(service)
    if processes is not None:
        processes.begin()
        recorder = processes
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
                    batches = ((batch, batch) for batch in _batches(source, batch_size))
                    submit = partial(recorder.submit, file=name, described=written is not None)
                    for _, found in answers_in_order(batches, submit, recorder.in_flight):
                        position = latest_position((position, found.position))
                        seen += sum(found.tally.values())
                        tally.update(found.tally)
                        if written is not None and not _write(written, found.lines):
                            written = None
                        rate = seen / (time.monotonic() - began)
                        progress.update(task, completed=source.read_so_far(), signals=seen, rate=rate)
        except _BROKEN:
            service.wait(position)
            raise
    if processes is not None:
        processes.check()
    from offerlog_application.ports.shards import ShardUnavailableError  # noqa: PLC0415 - --help need not wait for it

    try:
        # Duplicates may come from a run that was killed before the projections showed them.
        service.catch_up()
    except ShardUnavailableError:  # it has none of these signals: they are recorded
        service.wait(position)


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


def _write(written: TextIO, lines: Sequence[str]) -> bool:
    """Write the outcomes of a batch; returns False if their reader is gone; recording goes on.

    Raises:
        OSError: The file cannot be written; the error names it.
        OutputLostError: Standard output cannot be written.
    """
    try:
        written.writelines(lines)
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


def _batches(source: Source, batch_size: int) -> Iterator[list[Line]]:
    """Yield the lines of a file in batches; a broken file ends after its last line."""
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


def show_outcomes(tally: Tally, *, to_stderr: bool = False) -> None:
    """Print how many signals had which outcome."""
    total = sum(tally.values())
    out = console(stderr=to_stderr)
    title = format_count(total, "signal")
    rows = table(out, ["outcome", "reason", "signals", "share"], numbers=2, title=title)
    for (kind, reason), count in sorted(tally.items(), key=lambda item: (item[0][0], -item[1])):
        rows.add_row(kind, reason or "", f"{count:,}", f"{count / total:.1%}")
    out.print(rows if total else "no signals")
