"""Metrics of all processes of a service: a scrape at any of them shows the sum.

Each process keeps a file with its own metrics, and writes it anew when another process asks. A scrape reads
the files. So it never shows more than is in them, and a counter does not fall when a process is killed. The
supervisor adds the metrics of a process that has ended to one more file.
"""

import fcntl
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from offerlog_infrastructure.http.shared.merged_metrics import Family, dump, keep_totals, merge

_ASK_SECONDS: Final = 0.5
"""Time limit of one question to another process. One that does not answer counts as of its last file."""

_WRITE_SECONDS: Final = 2.0
"""Seconds between two files of a process that nobody asks. What it counted since is lost if it is killed."""

_ENDED: Final = "ended.totals"
_LOCK: Final = "metrics.lock"

_log = logging.getLogger(__name__)


class _Ended(msgspec.Struct):
    """The metrics of the processes that have ended: their number, and their totals."""

    count: int = 0
    families: list[Family] = []


class MetricExchange:
    """The metrics of one process and of the others of its service.

    Args:
        folder: The folder of the service.
        number: The number of this process.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._number = number
        self._describe: Callable[[], Iterable[Metric]] | None = None
        self._listening: socket.socket | None = None
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._write_lock = threading.Lock()

    def serve(self, describe: Callable[[], Iterable[Metric]]) -> None:
        """Show the metrics of this process to the others from now on.

        Args:
            describe: Returns them, without asking the store. It is called in a thread of the exchange.
        """
        self._describe = describe
        place = self._place(self._number)
        place.unlink(missing_ok=True)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(place))
        self._listening.listen(64)
        self._listening.settimeout(_WRITE_SECONDS)
        self._thread = threading.Thread(target=self._answer, name="offerlog-metrics", daemon=True)
        self._thread.start()

    def complete(self, mine: Sequence[Metric]) -> Sequence[Metric]:
        """Return the metrics of the service.

        Args:
            mine: The metrics of this process, and those that it has read from the store.
        """
        with _locked(self._folder, fcntl.LOCK_SH):
            self._write()
            ended = _read_ended(self._folder)
            others = [self._ask(place) for place in sorted(self._folder.glob("*.sock"))]
        alive = [families for families in others if families]
        return [
            *merge(mine, [*alive, ended.families]),
            GaugeMetricFamily("offerlog_processes", "Processes of the service", len(alive) + 1),
            CounterMetricFamily(
                "offerlog_process_restarts", "Processes of the service that died", ended.count
            ),
        ]

    def close(self) -> None:
        """End the thread."""
        self._is_closing = True
        if self._listening is not None:
            with suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread
            self._listening.close()
        if self._thread is not None:
            self._thread.join(_WRITE_SECONDS)

    def _place(self, number: int) -> Path:
        return self._folder / f"{number}.sock"

    def _answer(self) -> None:
        """Write the file when somebody asks, and from time to time."""
        assert self._listening is not None  # noqa: S101 - `serve` made it
        while not self._is_closing:
            try:
                asking, _ = self._listening.accept()
            except TimeoutError:
                self._write()
                continue
            except OSError:
                return
            with asking, suppress(OSError):  # whoever asked may be gone
                self._write()
                asking.sendall(b".")

    def _write(self) -> None:
        if self._describe is None:
            return
        with self._write_lock:
            try:
                _write_file(_file(self._folder, self._number), msgspec.msgpack.encode(dump(self._describe())))
            except OSError as error:
                _log.warning("the metrics of this process cannot be written: %s", error)

    def _ask(self, place: Path) -> list[Family]:
        """Have another process write its file, and read it; empty for this process."""
        if place == self._place(self._number):
            return []
        with suppress(OSError), socket.socket(socket.AF_UNIX) as asking:  # it may have died: its file stays
            asking.settimeout(_ASK_SECONDS)
            asking.connect(str(place))
            asking.recv(1)
        return _read_file(_file(self._folder, int(place.stem)))


def note_end(folder: Path, number: int) -> None:
    """Keep the totals of a process that has ended, and remove its files. The supervisor calls it.

    Args:
        folder: The folder of the service.
        number: The number of the process.
    """
    with _locked(folder, fcntl.LOCK_EX):
        file, ended = _file(folder, number), _read_ended(folder)
        totals = keep_totals([ended.families, _read_file(file)])
        _write_file(folder / _ENDED, msgspec.msgpack.encode(_Ended(ended.count + 1, totals)))
        file.unlink(missing_ok=True)
        (folder / f"{number}.sock").unlink(missing_ok=True)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.metrics"


def _write_file(file: Path, text: bytes) -> None:
    new = file.with_suffix(".new")
    new.write_bytes(text)
    new.replace(file)


def _read_file(file: Path) -> list[Family]:
    try:
        return msgspec.msgpack.decode(file.read_bytes(), type=list[Family])
    except FileNotFoundError:
        return []


def _read_ended(folder: Path) -> _Ended:
    try:
        return msgspec.msgpack.decode((folder / _ENDED).read_bytes(), type=_Ended)
    except FileNotFoundError:
        return _Ended()


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    """Hold the lock of the files: a process that ends must not count twice, or not at all."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, kind)
        yield
    finally:
        os.close(lock)
