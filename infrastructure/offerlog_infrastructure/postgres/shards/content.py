"""The content of a store, as far as the stores of an installation must agree."""

from collections.abc import Mapping
from typing import LiteralString

from psycopg.rows import tuple_row

from offerlog_application.ports.keyring import KeyringError
from offerlog_application.ports.positions import SHARD_BITS
from offerlog_application.sharding.checking import StoreContent
from offerlog_domain.identity import OrganizationKey
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication

_SELECT_HELD: LiteralString = """
    SELECT slice, 'visitors', count(*) FROM (
        SELECT get_byte(uuid_send(digest), 0) >> 4 AS slice FROM visitors
    ) AS v GROUP BY 1
    UNION ALL
    SELECT slice, 'events', count(*) FROM (
        SELECT get_byte(uuid_send(originator_id), 0) >> 4 AS slice FROM offerlog_events
        WHERE substr(originator_id::text, 2, 9) <> '0000000-0' -- with the second 0: of an organization
    ) AS e GROUP BY 1
    UNION ALL
    SELECT slice, 'archived events', sum(events)::bigint FROM archived_files GROUP BY 1
    ORDER BY 1, 2
"""
_SELECT_OWNED: LiteralString = "SELECT slice FROM slices WHERE is_owned"
_SELECT_LEAVING: LiteralString = "SELECT slice, target FROM leaving_slices"
_SELECT_RECORDED: LiteralString = f"""
    SELECT shard, sum(events)::bigint FROM (
        SELECT (notification_id >> {SHARD_BITS})::int AS shard, count(*) AS events
        FROM offerlog_events GROUP BY 1
        UNION ALL SELECT (first_position >> {SHARD_BITS})::int, events FROM archived_files
    ) AS parts GROUP BY 1
"""
_SELECT_POLICIES: LiteralString = """
    SELECT organization, action_map_id, suppress_for FROM action_map_policies WHERE suppress_for <> '{}'
"""


def read_content(application: OfferlogApplication) -> StoreContent:
    """Read the content of a store, all of it at one moment but for the keys. Reads the whole log.

    Raises:
        StoreUnavailableError: The store cannot be reached.
    """
    reading = application.reading
    with (
        store_reached(reading),
        reading.get_connection() as connection,
        connection.transaction(),
        connection.cursor(row_factory=tuple_row) as cursor,
    ):
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        owned = frozenset(number for (number,) in cursor.execute(_SELECT_OWNED))
        held = {(number, kind): count for number, kind, count in cursor.execute(_SELECT_HELD)}
        leaving: dict[int, int] = dict(cursor.execute(_SELECT_LEAVING).fetchall())
        recorded: dict[int, int] = dict(cursor.execute(_SELECT_RECORDED).fetchall())
        policies = {(name, one): until for name, one, until in cursor.execute(_SELECT_POLICIES)}
    try:
        keys: Mapping[str, OrganizationKey] | None = application.keys.all_keys()
    except KeyringError:
        keys = None
    return StoreContent(owned, held, leaving, recorded, policies, keys)
