"""A child that does not outlive its parent, whatever kills the parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
MAX_FILES = 1024  # a guard has a dozen open
KERNEL_DOES_IT = sys.platform == "linux"

# Loaded before any fork: between fork and exec only simple calls are safe.
_libc = ctypes.CDLL(None, use_errno=True) if KERNEL_DOES_IT else None


def die_with_parent(death_signal: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """Return a `preexec_fn` that has the kernel send the child this signal when its parent dies.

    subprocess runs it after it has switched users, as it must: a switch would undo it. None if the kernel
    does not support it; use `DeathWatch` there.
    """
    if _libc is None:
        return None
    libc = _libc
    parent = os.getpid()

    def ask_the_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the call
            os._exit(1)

    return ask_the_kernel


class DeathWatch:
    """A small process that does the same: it sends the signal when the parent's pipe ends unannounced."""

    def __init__(self, child: int, death_signal: signal.Signals = signal.SIGINT) -> None:
        reader, self._writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            with contextlib.suppress(BaseException):
                _watch(reader, child, death_signal)
            os._exit(0)
        os.close(reader)

    def dismiss(self) -> None:
        """End the watch without a signal: the child has ended, and its number may be reused."""
        os.write(self._writer, b"!")
        os.close(self._writer)
        os.waitpid(self._pid, 0)


def _watch(reader: int, child: int, death_signal: signal.Signals) -> None:
    # This process must not keep the locks or the other end of the pipe open.
    os.dup2(reader, 0)
    os.closerange(1, MAX_FILES)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    if os.read(0, 1) == b"":
        os.kill(child, death_signal)
