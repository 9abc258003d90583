"""The pages of visitors of an organization that is deleted: each reads as many rows as it has."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest

from offerlog import open_offerlog
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.erasure.organization_visitors import SELECT_DIGESTS
from support.journeys import signal

_LIMIT: Final = 50


def scans(node: dict[str, Any], table: str) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a plan that read a table."""
    if node.get("Relation Name") == table:
        yield node
    for child in node.get("Plans", []):
        yield from scans(child, table)


@pytest.mark.parametrize("table", ["counted_blocks", "refusals"])
def test_a_page_reads_as_many_rows_as_it_has(dsn: str, table: str) -> None:
    """However many rows the organization has, also of one visitor."""
    # given
    with open_offerlog(database_url=dsn, organization="default", keep_deadlines=False) as service:
        if table == "refusals":
            service.record([signal("completed", visitor=n % 500) for n in range(3_000)])
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute(
            "INSERT INTO counted_blocks"
            " SELECT now(), md5((n % 500)::text)::uuid, md5(n::text)::uuid, 'default'"
            " FROM generate_series(1, 5000) AS n"
        )
        connection.execute("ANALYZE counted_blocks, refusals")
        where = {"organization": "default", "after": UUID(int=0), "limit": _LIMIT}
        # when
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {SELECT_DIGESTS}", where).fetchone()
        found = [digest for (digest,) in connection.execute(SELECT_DIGESTS, where)]
    # then
    assert row is not None
    nodes = [*scans(row[0][0]["Plan"], table)]
    read = sum(
        one["Actual Loops"] * (one["Actual Rows"] + one.get("Rows Removed by Filter", 0)) for one in nodes
    )
    assert _LIMIT <= read <= _LIMIT + 1
    assert len(found) == _LIMIT
    assert all(one < other for one, other in pairwise(found))
