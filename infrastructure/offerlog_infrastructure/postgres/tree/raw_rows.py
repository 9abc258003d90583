"""Stored events in bytes, as their leaves are hashed from them."""

from typing import Any, Final, LiteralString

from psycopg import Connection
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format

from offerlog_domain.transparency.leaves import RawRow

RAW_COLUMNS: LiteralString = """
    int8send(notification_id) || int4send(originator_version) || uuid_send(originator_id),
    convert_to(topic, 'UTF8'), state
"""
"""The columns of a `RawRow`."""

_SELECT_RAW: Final = f"""
    SELECT {RAW_COLUMNS} FROM offerlog_events
    WHERE notification_id > $1 AND notification_id <= $2 ORDER BY notification_id
""".encode()
_BIGINT: Final = 20


def read_raw_rows(connection: Connection[Any], after: int, until: int) -> list[RawRow]:
    """Return the events behind a position and up to another, in order.

    The call blocks until the whole answer has come, without the interpreter lock. A cursor would ask for the
    lock after every few kilobytes, and wait for a thread that hashes each time: an audit would take half as
    long again.

    Raises:
        psycopg.Error: The server refuses, or the connection is lost.
    """
    raw = connection.pgconn
    result = raw.exec_params(
        _SELECT_RAW, [b"%d" % after, b"%d" % until], [_BIGINT, _BIGINT], result_format=Format.BINARY
    )
    if result.status != ExecStatus.TUPLES_OK:
        raise error_from_result(result)
    value = result.get_value
    return [(value(n, 0), value(n, 1), value(n, 2)) for n in range(result.ntuples)]  # type: ignore[misc] # no column is NULL
