"""Digests of the rows of projections, which add up over slices, from tables and from folded events alike.

Sealed columns are left out: an erasure blanks them in the log. Names of action maps are left out too: the
newest name wins, so they do not add up.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, LiteralString
from uuid import UUID

import msgspec

from offerlog_application.ports.slices import TableDigest
from offerlog_application.projections.slots import DAY_SLOTS
from offerlog_infrastructure.postgres.projections.tables import Projection
from offerlog_infrastructure.postgres.projections.tables.table import names_of

_LEFT_OUT: Final = {"action_map_names"}
_SEALED: Final = "sealed"

_SLOT: Final = 3
"""The place of the quarter-hour in a row of `performance_counts`."""

_encode = msgspec.msgpack.Encoder().encode


def digest_change(projection: Projection, change: Any) -> dict[str, TableDigest]:
    """Return the digests of the rows that whole streams come to.

    Args:
        projection: The projection.
        change: The change that it has made of all events of these streams.
    """
    found = {}
    for load in projection.loads:
        if load.table in _LEFT_OUT:
            continue
        rows = load.rows(change)
        names = names_of(load.columns).split(", ")
        found[load.table] = _digest_rows(load.table, names, rows, load.counted_by)
        if load.table == "performance_counts":
            days = [(*row[:_SLOT], row[_SLOT] // DAY_SLOTS, *row[_SLOT + 1 :]) for row in rows]
            found["performance_days"] = _digest_rows(
                "performance_days", _as_days(names), days, load.counted_by
            )
    return found


def digest_tables(
    projection: Projection,
    select: Callable[[LiteralString, LiteralString], Iterable[Sequence[Sequence[Any]]]],
) -> dict[str, TableDigest]:
    """Return the digests of the rows of a projection's tables.

    Args:
        projection: The projection.
        select: Selects columns of a table, page by page.
    """
    found = {}
    for load in projection.loads:
        if load.table in _LEFT_OUT:
            continue
        columns = names_of(load.columns)
        wanted = [(load.table, columns)]
        if load.table == "performance_counts":
            wanted.append(("performance_days", columns.replace(" slot,", " day,")))
        for table, names in wanted:
            digest = TableDigest(0, 0)
            for page in select(names, table):
                digest = digest.plus(_digest_rows(table, names.split(", "), page, load.counted_by))
            found[table] = digest
    return found


def _as_days(names: Sequence[str]) -> list[str]:
    return [*names[:_SLOT], "day", *names[_SLOT + 1 :]]


def _digest_rows(
    table: str, names: Sequence[str], rows: Iterable[Sequence[Any]], keys: int | None
) -> TableDigest:
    total = digest = 0
    if keys is None:
        shown = [place for place, name in enumerate(names) if name != _SEALED]
        for row in rows:
            total += 1
            digest += _digest_values(table, [row[place] for place in shown])
        return TableDigest(total, digest % (1 << 64))
    for row in rows:
        for name, count in zip(names[keys:], row[keys:], strict=True):
            if count:
                total += count
                digest += count * _digest_values(table, [name, *row[:keys]])
    return TableDigest(total, digest % (1 << 64))


def _digest_values(table: str, values: Sequence[Any]) -> int:
    encoded = _encode((table, [_normalize(value) for value in values]))
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "big")


def _normalize(value: Any) -> Any:
    """Return a value in the one form that it has in a digest."""
    if isinstance(value, UUID):
        return value.bytes
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value
