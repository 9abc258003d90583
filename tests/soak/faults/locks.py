"""Locks on whole tables, by hand and by an administrator's commands."""

from collections.abc import Iterator
from random import Random
from typing import Final

import psycopg
from psycopg import sql

from soak.faults import CannotInjectError, fault
from soak.server import SCHEMA
from soak.system import System

_TABLES: Final = (
    "offerlog_events",
    "offerlog_events_7",  # a partition: the other slices go on
    "visitors",
    "organizations",
    "log_epoch",
    "refusals",
    "suppressions",
    "current_offers",
    "parked_signals",
    "offerlog_tracking",
)
_WAIT: Final = f"-c search_path={SCHEMA} -c lock_timeout=4s -c statement_timeout=60s"


@fault("lock a table", weight=2, seconds=(2.0, 2.0))
def lock(system: System, chance: Random) -> Iterator[str]:
    """Nobody can read or write it for two seconds."""
    table = chance.choice(_TABLES)
    with psycopg.connect(system.dsn, options=_WAIT, connect_timeout=5) as session:
        try:
            session.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))
        except psycopg.errors.LockNotAvailable as error:
            raise CannotInjectError("no table lock could be had within four seconds") from error
        try:
            yield table
        finally:
            _end(session)


@fault("VACUUM FULL")
def vacuum(system: System, chance: Random) -> Iterator[str]:
    """It writes a table anew under a lock."""
    yield _done(system, "VACUUM FULL {}", chance.choice(_TABLES))


@fault("REINDEX")
def reindex(system: System, chance: Random) -> Iterator[str]:
    """It makes all indexes of a table anew under a lock."""
    yield _done(system, "REINDEX TABLE {}", chance.choice(_TABLES))


def _done(system: System, statement: str, table: str) -> str:
    with psycopg.connect(system.dsn, options=_WAIT, connect_timeout=5, autocommit=True) as session:
        try:
            session.execute(sql.SQL(statement).format(sql.Identifier(table)))
        except psycopg.errors.LockNotAvailable as error:
            raise CannotInjectError("no table lock could be had within four seconds") from error
    return table


def _end(session: psycopg.Connection[tuple[object, ...]]) -> None:
    """Give the lock back; the session may have been ended by another fault."""
    if not session.closed:
        try:
            session.rollback()
        except psycopg.OperationalError:
            session.close()
