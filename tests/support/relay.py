"""Starts a program in a fork of the nursery (see `preloaded.py`), and ends as it ends.

Runs without the site packages, so that it starts at once: nothing but the standard library here. Of `signal`
and `socket` it loads the parts in C alone, as the others take as long as the start of Python.
"""

import _signal as signal  # type: ignore[import-not-found] # there is no stub of it
import _socket as socket
import marshal
import os
import sys


def main(address: str, entry: str, *words: str) -> None:
    """Hand everything over, pass signals on, wait."""
    nursery = socket.socket(socket.AF_UNIX)
    nursery.settimeout(30)
    nursery.connect(address)
    request = marshal.dumps((entry, list(words), dict(os.environ), os.getcwd())) + b"\nend"  # noqa: PTH109 - pathlib takes long to load
    descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    sent = nursery.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
    nursery.sendall(request[sent:])
    for number in range(3):  # the fork has them: a pipe must end when the fork ends
        os.close(number)
    child = int.from_bytes(nursery.recv(4, socket.MSG_WAITALL), "big")

    def pass_on(number: int, _: object) -> None:
        os.kill(child, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, pass_on)
    nursery.settimeout(None)  # whoever started this process limits its time
    status = int.from_bytes(nursery.recv(4, socket.MSG_WAITALL), "big")
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL) if os.WTERMSIG(status) != signal.SIGKILL else None
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(*sys.argv[1:])
