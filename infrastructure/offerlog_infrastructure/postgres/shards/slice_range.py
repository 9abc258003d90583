"""A slice as ranges: of digests, of tokens, and of streams. Streams that belong to no visitor are outside.

Those of an organization, of its policies and of tallies lie in a slice by their ids alone, and do not move:
each store has its own. Their tokens have the second 0, so they lie before all streams of visitors.
"""

from typing import Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import sql

from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS
from offerlog_infrastructure.postgres.projections.tables.table import names_of

_HALF: Final = 1 << 63
_FIRST_SECOND: Final = 1 << 28
"""The least token of a visitor, without its slice."""


class SliceRange(NamedTuple):
    """The bounds of a slice; each is part of it.

    Attributes:
        number: Its number, 0 to 15.
    """

    number: int

    @property
    def digests(self) -> tuple[UUID, UUID]:
        """The digests of its visitors."""
        return UUID(int=self.number << 124), UUID(int=(self.number + 1 << 124) - 1)

    @property
    def tokens(self) -> tuple[int, int]:
        """The tokens of its visitors, as stores have them."""
        return _signed(self.number << 60 | _FIRST_SECOND), _signed((self.number + 1 << 60) - 1)

    @property
    def streams(self) -> tuple[UUID, UUID]:
        """The streams of its visitors."""
        return UUID(int=self.number << 124 | _FIRST_SECOND << 64), self.digests[1]

    @property
    def partition(self) -> str:
        """The partition of the events."""
        return f"offerlog_events_{self.number:x}"

    def rows_of(self, table: "SliceTable") -> sql.Composed:
        """Return the condition for the rows of the slice."""
        low, high = {"digest": self.digests, "token": self.tokens, "stream": self.streams}[table.kind]
        return sql.SQL("{} BETWEEN {} AND {}").format(
            sql.Identifier(table.key), sql.Literal(low), sql.Literal(high)
        )


def _signed(token: int) -> int:
    return token if token < _HALF else token - 2 * _HALF


class SliceTable(NamedTuple):
    """A table with rows that belong to one visitor each.

    Attributes:
        name: The table.
        key: The column that names the visitor.
        kind: What it holds: `digest`, `token` or `stream`.
        columns: The columns that move as they are.
    """

    name: LiteralString
    key: LiteralString
    kind: LiteralString
    columns: LiteralString


EVENTS: Final = SliceTable(
    "offerlog_events",
    "originator_id",
    "stream",
    "notification_id, originator_version, originator_id, topic, state",
)
VISITORS: Final = SliceTable("visitors", "token", "token", "token, digest, organization, wrapped_key, names")
TOMBSTONES: Final = SliceTable(
    "erased_visitors", "token", "token", "token, erased_at, position, refusals, completed_at, organization"
)
HOLDS: Final = SliceTable("legal_holds", "digest", "digest", "digest, held_since, organization, reason")
BLOCKS: Final = SliceTable(
    "counted_blocks", "visitor_digest", "digest", "recorded_at, visitor_digest, digest, organization"
)
NAMED_ACTIONS: Final = SliceTable(
    "named_actions", "visitor", "token", "visitor, recorded_at, action_digest, action_map_id"
)
REFUSALS: Final = SliceTable(
    "refusals",
    "visitor_digest",
    "digest",
    "organization, recorded_at, reason, field, cause, sealed_text, raw_length, visitor_digest, action_map_id,"
    " parked_number",
)
DEAD_LETTERS: Final = SliceTable(
    "dead_letters",
    "originator_id",
    "stream",
    "view, originator_id, position, originator_version, topic, error, dead_at, organization, action_map_id,"
    " waiting",
)

SETTLED: Final = SliceTable("settled", "originator_id", "stream", "originator_id, last_version, file")

STORED: Final = (EVENTS, VISITORS, TOMBSTONES, HOLDS, BLOCKS, NAMED_ACTIONS, REFUSALS)
"""The tables that are copied."""


def _list_projected() -> tuple[SliceTable, ...]:
    found = []
    for projection in PROJECTIONS:
        for load in projection.loads:
            columns = names_of(load.columns)
            if "originator_id" in columns:
                found.append(SliceTable(load.table, "originator_id", "stream", columns))
            elif load.columns.startswith("visitor "):
                found.append(SliceTable(load.table, "visitor", "token", columns))
    return tuple(found)


PROJECTED: Final = _list_projected()
"""The tables of projections with rows of one visitor each. They are folded from the copied events."""
