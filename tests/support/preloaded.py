"""Programs in separate processes that load nothing: forks of a process that has loaded it all.

Loading the command takes 0.3 s of CPU time and loading the service 1 s, and tests start them hundreds of
times. A *nursery* loads both once a test worker and forks at every request. `relay.py` is the program that a
test starts in the place of the real one. It hands its arguments, environment, folder and file descriptors to
the nursery and passes signals on. It ends as the fork ends, and the fork ends when it is killed.
"""

import atexit
import gc
import importlib
import io
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from support.processes import LimitedProcess

_TESTS: Final = Path(__file__).parents[1]
_LOADED: Final = (
    "offerlog_infrastructure.cli.main",
    "offerlog_infrastructure.cli.commands",
    "offerlog_infrastructure.composition",
    "offerlog_infrastructure.http.app",
    "offerlog_infrastructure.http.server.server",
    "offerlog_infrastructure.simulation.traffic",
    "markdown_it",  # help texts
    "pyarrow.compute",  # an extra, which commands load over an archive
    "pyarrow.parquet",
)

LOOK_SECONDS: Final = 0.25
"""Seconds between two looks of a projector that nobody has woken, in services of tests. They are idle for
most of a test, and fifty looks a second take a sixteenth of a core."""


def preloaded(entry: str) -> list[str]:
    """The first words of a command line that runs a function in a fork.

    Args:
        entry: `module:function`. It is called without arguments; they are in `sys.argv`.
    """
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("relay.py")), _nursery(), entry]


def preloaded_code(code: str) -> list[str]:
    """The first words of a command line that runs a program in a fork, as `python -c` does."""
    return [*preloaded("support.preloaded:run_code"), code]


def run_code() -> None:
    """Run the program that is the first argument."""
    code = sys.argv.pop(1)
    sys.argv[0] = "-c"
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - a test's own program


@cache
def _nursery() -> str:
    """Start the nursery of this process; returns the address of its socket."""
    folder = tempfile.mkdtemp(prefix="nursery-", dir=os.environ.get("OFFERLOG_TEST_FOLDER"))
    address = str(Path(folder) / "socket")
    environment = {**os.environ, "PYTHONPATH": str(_TESTS)}
    nursery = LimitedProcess(  # its standard input tells it that this process has ended
        [sys.executable, __file__, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        seconds=3600,
    )
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    assert nursery.stdout.read() == b"", "it closes its output when it is ready"
    atexit.register(nursery.stdin.close)
    return address


def main(address: str) -> None:
    """Load everything, then fork at every request until standard input ends. Returns in each fork."""
    gc.disable()
    for module in _LOADED:
        with suppress(ModuleNotFoundError):  # an extra that is not installed
            importlib.import_module(module)
    importlib.import_module("offerlog_infrastructure.cli.commands").command_tree()
    projector = importlib.import_module("offerlog_infrastructure.postgres.projections.projector")
    projector._LOOK_SECONDS = LOOK_SECONDS  # type: ignore[attr-defined] # a module has it
    gc.collect()
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    with socket.socket(socket.AF_UNIX) as listening:
        listening.settimeout(30)
        listening.bind(address)
        listening.listen(64)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        while True:
            ready, _, _ = select.select([listening.fileno(), 0], [], [])
            if 0 in ready:
                os._exit(0)
            asked, _ = listening.accept()
            asked.settimeout(30)
            if os.fork() == 0:
                listening.close()
                _keep(asked)
                return
            asked.close()


def _keep(asked: socket.socket) -> None:
    """Fork what was asked for, and stay beside it: report its end, or end it with the relay."""
    request, descriptors, _, _ = socket.recv_fds(asked, 1 << 20, 3)
    while not request.endswith(b"\nend"):
        request += asked.recv(1 << 20)
    entry, words, environment, folder = marshal.loads(request[:-4])  # noqa: S302 - of our own relay
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        asked.close()
        _become(entry, words, environment, folder, descriptors)
        return
    for descriptor in (0, *descriptors):
        os.close(descriptor)
    asked.sendall(child.to_bytes(4, "big"))
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, asked.fileno()], [], [])
    if ended not in ready:  # the relay was killed
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if ended in ready:
        asked.sendall((status & 0xFFFF).to_bytes(4, "big"))
    os._exit(0)


def _become(
    entry: str, words: list[str], environment: dict[str, str], folder: str, descriptors: list[int]
) -> None:
    """Look like a process that was started for this alone."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    module, function = entry.split(":")
    sys.argv = [module, *words]
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(number, "w", closefd=False)),
            encoding="utf-8",
            errors=errors,
            line_buffering=number == 2 or os.isatty(number),
        )
        for number, errors in ((1, "strict"), (2, "backslashreplace"))
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc] # a test may
    try:
        getattr(importlib.import_module(module), function)()
    except SystemExit as ended:
        _exit_at_once(ended.code)
        raise
    _exit_at_once(None)


def _exit_at_once(code: object) -> None:
    """End this process as Python does, but take nothing apart: that would copy the memory of the nursery.

    Returns only where Python has more to say: of output that cannot be written, or a text as exit code.
    """
    if code is not None and not isinstance(code, int):
        return
    threading._shutdown()  # type: ignore[attr-defined] # waits for threads, as Python does
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    main(sys.argv[1])
