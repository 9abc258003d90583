"""The guard of an open service against use in a forked process.

Threads do not survive a fork: nobody would write what the child submits, and its calls would wait for ever.
Connections do survive, and belong to both processes: a statement of the child would break the parent's. So
every use of the service in the child raises an error. Closing the service there releases only the child's
share of the lease on the embedded server.
"""

import os
from collections.abc import Callable
from typing import Any, Final, NoReturn
from weakref import WeakKeyDictionary

from offerlog_application.offerlog import Offerlog
from offerlog_domain.errors import OfferlogError


class ForkedServiceError(OfferlogError, RuntimeError):
    """The service was opened in another process, of which this one is a fork; nothing was done."""

    def __init__(self, opened_in: int) -> None:
        super().__init__(
            f"this service was opened by process {opened_in}, and process {os.getpid()} was forked from it"
            " later: call open_offerlog in the new process"
        )


_open: Final[WeakKeyDictionary[Offerlog, Callable[[], None]]] = WeakKeyDictionary()
_ALLOWED: Final = {"close", "__class__", "__dict__", "__enter__", "__exit__"}


def guard_against_fork(service: Offerlog, leave: Callable[[], None]) -> None:
    """Make a service raise in every process that is forked from this one.

    Args:
        service: The open service.
        leave: Releases, in a forked process, what that process shares with this one; does not wait.
    """
    _open[service] = leave


def _forked(original: type, opened_in: int) -> type:
    """Make a class whose objects raise `ForkedServiceError` at every use except `close`."""

    def refuse(self: object, name: str) -> Any:
        if name in _ALLOWED:
            return object.__getattribute__(self, name)
        return _refuse(opened_in)

    def close(self: object) -> None:
        leave = _open.pop(self, None) if isinstance(self, Offerlog) else None
        if leave is not None:
            leave()

    return type(f"Forked{original.__name__}", (original,), {"__getattribute__": refuse, "close": close})


def _refuse(opened_in: int) -> NoReturn:
    raise ForkedServiceError(opened_in)


def _refuse_in_child() -> None:
    """Make every open service of the parent, and its public parts, raise in the child."""
    opened_in = os.getppid()
    for service in list(_open):
        parts = [part for name, part in vars(service).items() if not name.startswith("_")]
        for one in (service, *(part for part in parts if hasattr(part, "__dict__"))):
            object.__setattr__(one, "__class__", _forked(type(one), opened_in))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_refuse_in_child)
