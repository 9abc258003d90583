"""Sessions that the server ends, at the worst of moments."""

import time
from collections.abc import Iterator
from random import Random
from typing import Final

from soak.faults import CannotInjectError, fault
from soak.system import System

_SOME: Final = """
    SELECT pg_terminate_backend(pid), pid FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
    ORDER BY md5(pid::text || %s) LIMIT 3
"""
_WORKING: Final = """
    WITH working AS MATERIALIZED (
        SELECT pid, query FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND {}
        LIMIT 1
    )
    SELECT pid, query FROM working WHERE pg_terminate_backend(pid)
"""
"""MATERIALIZED: in one WHERE, the server may end sessions before it looks at the other conditions."""

_COPY: Final = "pid IN (SELECT pid FROM pg_stat_progress_copy)"
_COMMIT: Final = "right(query, 6) = 'COMMIT' AND lower(wait_event) IN ('walsync', 'walwrite')"
"""An append is one message, which ends with COMMIT: it is there when its log is written."""

_LOOK_FOR_SECONDS: Final = 4.0


@fault("terminate sessions", weight=2)
def terminate(system: System, chance: Random) -> Iterator[str]:
    """Any three."""
    ended = system.sql(_SOME, str(chance.random()))
    yield f"sessions {', '.join(str(pid) for _, pid in ended)}"


@fault("terminate a session in COPY", weight=2)
def terminate_copy(system: System, _: Random) -> Iterator[str]:
    """Its events are rolled back, and its writer decides anew."""
    yield _terminate(system, "COPY", _COPY)


@fault("terminate a session in COMMIT", weight=2)
def terminate_commit(system: System, _: Random) -> Iterator[str]:
    """The writer has to find out whether its commit was made."""
    yield _terminate(system, "COMMIT", _COMMIT)


def _terminate(system: System, place: str, condition: str) -> str:
    deadline = time.monotonic() + _LOOK_FOR_SECONDS
    while time.monotonic() < deadline:
        if found := system.sql(_WORKING.format(condition)):
            return f"session {found[0][0]} in {found[0][1][:40]}"
    raise CannotInjectError(f"no session was in {place} when it was looked at")
