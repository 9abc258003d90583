"""A restored store before anybody may use it: visitors who were erased since, and names that may not sign."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.erasure import Tombstone
from offerlog_infrastructure.postgres.backup.snapshot import SELECT_TOMBSTONES
from offerlog_infrastructure.postgres.connections import open_unlimited
from offerlog_infrastructure.postgres.errors import server_reached
from offerlog_infrastructure.sealing import SEAL_BYTES

_SELECT_VISITORS: LiteralString = (
    "SELECT organization, digest FROM visitors WHERE token = ANY(%s) ORDER BY organization, token"
)
_DELETE_HOLDS: LiteralString = "DELETE FROM legal_holds WHERE digest = ANY(%s)"
_DELETE_TEXTS: LiteralString = f"""
    UPDATE refusals r SET visitor_digest = NULL, sealed_text = '',
        raw_length = coalesce(raw_length, greatest(octet_length(sealed_text) - {SEAL_BYTES}, 0))
    WHERE organization = %s AND recorded_at <= %s AND visitor_digest IS NOT NULL
        AND NOT EXISTS (SELECT FROM visitors v WHERE v.digest = r.visitor_digest)
"""
_HAS_SHARD_TABLE: LiteralString = "SELECT to_regclass('shard') IS NOT NULL"
_IS_SHARD: LiteralString = "SELECT EXISTS (SELECT FROM shard)"
_INSERT_RETIRED: LiteralString = """
    INSERT INTO retired_origins (retired_at, origin, backup, note) VALUES (now(), %s, %s, %s)
    ON CONFLICT (origin) DO NOTHING
"""


class RestoredTables:
    """The tables of a restored store. Each call opens a connection.

    Args:
        dsn: The connection string.
        schema: The schema of the store.
    """

    def __init__(self, dsn: str, schema: str) -> None:
        self._dsn = dsn
        self._schema = schema

    def analyze(self) -> None:
        """Collect the statistics that a dump does not hold."""
        self._execute("ANALYZE")

    def make_bi_views(self) -> None:
        """Make the views for BI tools: a dump holds the schema of the store alone."""
        self._execute("SELECT make_bi_views()")

    def find_living(self, erased: Sequence[Tombstone]) -> Mapping[str, Sequence[UUID]]:
        """Return the digests of erased visitors who are still here, by organization."""
        tokens = [one.token for one in erased if one.token is not None]
        found: defaultdict[str, list[UUID]] = defaultdict(list)
        for organization, digest in self._execute(_SELECT_VISITORS, tokens):
            found[organization].append(digest)
        return found

    def lift_holds(self, digests: Sequence[UUID]) -> None:
        """Lift legal holds: they were lifted before these visitors were erased."""
        self._execute(_DELETE_HOLDS, list(digests))

    def delete_texts_without_visitor(self, erased: Sequence[Tombstone]) -> None:
        """Delete refused texts of visitors without events, from before the erasure of one of them.

        Nothing outside of the store says which texts were the erased visitor's, so all of them go. The
        refusals stay, without text.
        """
        last: dict[str, Any] = {}
        for one in erased:
            if one.token is None:
                last[one.organization] = max(one.erased_at, last.get(one.organization, one.erased_at))
        for organization, erased_at in last.items():
            self._execute(_DELETE_TEXTS, organization, erased_at)

    def keeps_erasures(self) -> bool:
        """Return False if the store is of an offerlog that could not erase yet, or is not a store at all."""
        return bool(self._execute("SELECT to_regclass('erased_visitors') IS NOT NULL")[0][0])

    def is_shard(self) -> bool:
        """Return True if the store is one of several, each of which knows its own visitors alone."""
        return self._execute(_HAS_SHARD_TABLE) == [(True,)] and self._execute(_IS_SHARD) == [(True,)]

    def tombstones(self) -> Sequence[Tombstone]:
        """Return the visitors who were erased."""
        return [Tombstone(*row) for row in self._execute(SELECT_TOMBSTONES)]

    def retire(self, origin: str, backup: UUID, note: str | None) -> None:
        """Note that nothing may be signed under a name any more."""
        self._execute(_INSERT_RETIRED, origin, backup, note)

    def _execute(self, statement: LiteralString, *values: Any) -> list[Any]:
        connection: Connection[Any]
        with server_reached(), open_unlimited(self._dsn, self._schema) as connection:
            cursor = connection.cursor(row_factory=tuple_row).execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
