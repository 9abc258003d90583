"""Recording with several processes: this one reads lines and divides them, its forks record them.

A fork reads batches from one pipe, and writes the results to another, in the same order. It ends at the end
of its batches, so also at any death of this process, and records what it was given before. One more fork runs
the projections. They are forked before this process opens the store, because an open store has threads.
"""

import os
import queue
import signal
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, Self

import msgspec

from offerlog_application.ports.positions import LogPosition, latest_position, split_position
from offerlog_infrastructure.cli.batches_in_order import PendingAnswers, PendingReceipt
from offerlog_infrastructure.cli.exit_codes import RelayedError
from offerlog_infrastructure.cli.lines_by_visitor import divide_lines
from offerlog_infrastructure.cli.recording import (
    RecordedBatch,
    RecordingProcessError,
    Tally,
    describe_batch,
)

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_infrastructure.cli.lines import Line

_LENGTH: Final = struct.Struct("<I")
_BATCHES_OF_ONE: Final = 2
"""Batches in flight for each process."""

_PATIENCE_SECONDS: Final = 60.0
"""Seconds in which a process must end once it has no more batches."""

_PROJECTING: Final = 0
"""The number of the process that runs the projections."""


class _Part(msgspec.Struct, array_like=True):
    """The lines of a batch for one process."""

    numbers: list[int]
    texts: list[bytes]
    file: str | None
    described: bool


class _Done(msgspec.Struct, array_like=True, tag=True):
    """The result of a part."""

    positions: tuple[int, ...]
    tally: list[tuple[str, str | None, int]]
    lines: list[str]


class _Failed(msgspec.Struct, array_like=True, tag=True):
    """The error that ends a process: its line for people, and its exit code."""

    text: str
    code: int


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_part: Final = msgspec.msgpack.Decoder(_Part).decode
_decode_answer: Final = msgspec.msgpack.Decoder(_Done | _Failed).decode


class _Process(NamedTuple):
    """A fork.

    Attributes:
        number: Its number.
        pid: Its process id.
        batches: The pipe to it.
        answers: The pipe from it.
    """

    number: int
    pid: int
    batches: BinaryIO
    answers: BinaryIO


class RecordingProcesses:
    """Forks that record. Use it as a context manager; its end waits for them.

    Args:
        count: The number of processes that record.
        open_service: Opens the service in a fork; True for the fork that runs the projections.
        describe: Returns the line and the exit code of an error that ends a fork.

    Attributes:
        in_flight: The most batches without an answer.
    """

    def __init__(
        self,
        count: int,
        open_service: "Callable[[bool], Offerlog]",
        describe: Callable[[Exception], tuple[str, int]],
    ) -> None:
        self._count = count
        self._open_service = open_service
        self._describe = describe
        self.in_flight = _BATCHES_OF_ONE * count
        self._processes: list[_Process] = []
        for number in range(count + 1):
            self._processes.append(self._fork(number))

    def begin(self) -> None:
        """Let the processes open the store, which exists now."""
        for process in self._processes:
            _send(process, _Part([], [], None, described=False))

    def submit(
        self, batch: "Sequence[Line]", file: str | None, *, described: bool
    ) -> PendingAnswers[RecordedBatch]:
        """Begin to record a batch."""
        parts = divide_lines(batch, self._count)
        for process, places in zip(self._processes[1:], parts, strict=True):
            if places:
                numbers, texts = [batch[n].number for n in places], [batch[n].text for n in places]
                _send(process, _Part(numbers, texts, file, described=described))
        return _DividedBatch(self, parts, len(batch), described)

    def answers_of(self, parts: Sequence[Sequence[int]]) -> list[tuple[Sequence[int], _Done]]:
        """Return the answers of the processes that have a part of the oldest batch, with its places.

        Raises:
            RelayedError: A process could not record its part.
            RecordingProcessError: A process has died.
        """
        return [
            (places, self._answer_of(process))
            for process, places in zip(self._processes[1:], parts, strict=True)
            if places
        ]

    def check(self) -> None:
        """Check that the process of the projections runs.

        Raises:
            RelayedError: It has ended with an error.
            RecordingProcessError: It has died.
        """
        process = self._processes[_PROJECTING]
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            self._answer_of(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait until all have recorded what they were given; one that takes too long is killed."""
        for process in self._processes:
            with suppress(OSError):  # it has died; whoever needed its answer knows
                process.batches.close()
        timer = threading.Timer(_PATIENCE_SECONDS, self._kill)
        timer.daemon = True
        timer.start()
        try:
            for process in self._processes:
                while process.answers.read(1 << 16):  # nobody waits for these answers any more
                    pass
                process.answers.close()
                with suppress(ChildProcessError):
                    os.waitpid(process.pid, 0)
        finally:
            timer.cancel()
        self._processes.clear()

    def _kill(self) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def _answer_of(self, process: _Process) -> _Done:
        answer = _receive(process.answers)
        if answer is None:
            _, status = os.waitpid(process.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            raise RecordingProcessError(_name(process.number, self._count), process.pid, code)
        found: _Done | _Failed = _decode_answer(answer)
        if isinstance(found, _Failed):
            raise RelayedError(found.text, found.code)
        return found

    def _fork(self, number: int) -> _Process:
        batches, to_child = os.pipe()
        from_child, answers = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(to_child)
            os.close(from_child)
            for other in self._processes:
                os.close(other.batches.fileno())
                os.close(other.answers.fileno())
            self._live(number, os.fdopen(batches, "rb"), os.fdopen(answers, "wb"))
            os._exit(0)
        os.close(batches)
        os.close(answers)
        return _Process(number, pid, os.fdopen(to_child, "wb"), os.fdopen(from_child, "rb"))

    def _live(self, number: int, batches: BinaryIO, answers: BinaryIO) -> None:
        """Live as a fork: record batches until their end. Signals of a terminal are for the first process."""
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        try:
            if _receive(batches) is None:
                return  # the store could not be opened
            with self._open_service(number == _PROJECTING) as service:
                _record(service, batches, answers, self._describe)
        except Exception as error:  # noqa: BLE001 - the first process reports it
            with suppress(OSError):  # the first process may be gone
                _write(answers, _encode(_Failed(*self._describe(error))))


class _DividedBatch(NamedTuple):
    processes: RecordingProcesses
    parts: Sequence[Sequence[int]]
    size: int
    described: bool

    def result(self) -> RecordedBatch:
        tally: Tally = Tally()
        position: LogPosition | None = None
        lines = [""] * self.size if self.described else []
        for places, done in self.processes.answers_of(self.parts):
            position = latest_position((position, *done.positions))
            for kind, reason, number in done.tally:
                tally[kind, reason] += number
            for place, line in zip(places, done.lines, strict=False):
                lines[place] = line
        return RecordedBatch(position, tally, lines)


def _record(
    service: "Offerlog",
    batches: BinaryIO,
    answers: BinaryIO,
    describe: Callable[[Exception], tuple[str, int]],
) -> None:
    """Record parts in order until their end; a thread sends the results, so that parts are always read."""
    waiting: queue.SimpleQueue[tuple[_Part, PendingReceipt] | None] = queue.SimpleQueue()
    has_failed = threading.Event()

    def answer() -> None:
        while (found := waiting.get()) is not None:
            if has_failed.is_set():
                continue  # the first process knows, and ends all
            part, pending = found
            try:
                done = describe_batch(pending.result(), part.numbers, part.file, described=part.described)
                tally = [(kind, reason, number) for (kind, reason), number in done.tally.items()]
                positions = () if done.position is None else split_position(done.position)
                _write(answers, _encode(_Done(positions, tally, list(done.lines))))
            except Exception as error:  # noqa: BLE001 - the first process reports it
                has_failed.set()
                with suppress(OSError):  # the first process may be gone
                    _write(answers, _encode(_Failed(*describe(error))))

    thread = threading.Thread(target=answer, name="offerlog-answers")
    thread.start()
    try:
        while (text := _receive(batches)) is not None:
            if not has_failed.is_set():
                part = _decode_part(text)
                waiting.put((part, PendingReceipt(service, part.texts)))
    finally:
        waiting.put(None)
        thread.join()


def _name(number: int, count: int) -> str:
    return "the process of the projections" if number == _PROJECTING else f"process {number} of {count}"


def _send(process: _Process, part: _Part) -> None:
    """Send a part; that a process has died is noticed where its answer is missed."""
    with suppress(BrokenPipeError):
        _write(process.batches, _encode(part))


def _write(pipe: BinaryIO, text: bytes) -> None:
    pipe.write(_LENGTH.pack(len(text)) + text)
    pipe.flush()


def _receive(pipe: BinaryIO) -> bytes | None:
    """Read the next message; None at the end of the pipe, also in the middle of a message."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    text = pipe.read(length)
    return text if len(text) == length else None
