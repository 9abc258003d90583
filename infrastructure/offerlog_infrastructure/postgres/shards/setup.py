"""The making of an installation: a store becomes the home of several, another one a shard with its slices.

A slice changes hands only while nothing is held of its visitors. The owner gives it away under a new epoch,
and the fence waits for the writers that may not know it. Only then the slice is looked through. If it is
not empty, its owner takes it back. If it is empty, the directory promises it to the new shard, which takes
it. So a slice is never owned twice, wherever the call ends, and no row moves.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, LiteralString
from uuid import UUID, uuid4

from psycopg import Connection, Cursor, sql
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from offerlog_application.ports.positions import SHARD_BITS
from offerlog_application.ports.shards import HOME, MOST_SHARDS, ShardArgumentError, ShardError
from offerlog_domain.stream_ids import format_slices
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.fence import PostgresFence
from offerlog_infrastructure.postgres.log.horizon import POSITIONS_SEQUENCE
from offerlog_infrastructure.postgres.migrations import MIGRATIONS_LOCK
from offerlog_infrastructure.postgres.shards.directory import ShardIdentity, read_identity

_FENCE_SECONDS: Final = 60.0
_ENDING_SECONDS: Final = 2.0

_LOCK: LiteralString = "SELECT pg_advisory_xact_lock(7811887)"
"""One change of the shards at a time."""

_SELECT_OTHER_CLIENTS: LiteralString = """
    SELECT application_name, count(*), bool_or(backend_type IS NULL) FROM pg_stat_activity
    WHERE datname = current_database() AND usesysid IS NOT NULL
      AND coalesce(backend_type, 'client backend') = 'client backend'
      AND application_name <> current_setting('application_name')
    GROUP BY 1 ORDER BY 1
"""
"""The sessions of other roles count, too. PostgreSQL hides their type from a role that may not see it: then
the session may be something else than a client, and counts all the same."""

_HIDDEN: Final = (
    ". Some of them belong to another role, and this one may not see what they are: stop them, or let it have"
    " pg_read_all_stats for this command"
)
_INSERT_SHARD: LiteralString = "INSERT INTO shard (number, installation) VALUES (%s, %s)"
_INSERT_DIRECTORY: LiteralString = """
    INSERT INTO directory (slice, shard, epoch) SELECT slice, %s, epoch FROM slices
"""
_SELECT_SHARD: LiteralString = """
    SELECT number, EXISTS (SELECT FROM directory WHERE shard = number) FROM shards WHERE url = %s
"""
_SELECT_NEXT: LiteralString = "SELECT coalesce(max(number), 0) + 1 FROM shards"
_INSERT_ADDRESS: LiteralString = """
    INSERT INTO shards (number, url) VALUES (%s, %s) ON CONFLICT (number) DO UPDATE SET url = excluded.url
"""
_SELECT_OWNERS: LiteralString = """
    SELECT slice, shard, epoch FROM directory WHERE slice = ANY(%s) ORDER BY slice
"""
_UPDATE_DIRECTORY: LiteralString = "UPDATE directory SET shard = %s, epoch = %s WHERE slice = %s"

_USED: LiteralString = """
    SELECT EXISTS (SELECT FROM offerlog_events) OR EXISTS (SELECT FROM visitors)
        OR EXISTS (SELECT FROM organizations) OR EXISTS (SELECT FROM api_keys)
        OR EXISTS (SELECT FROM refusals) OR pg_sequence_last_value('log_positions') IS NOT NULL
"""
_NUMBER_REFUSALS: LiteralString = (
    "SELECT setval(pg_get_serial_sequence('refusals', 'id'), %s, false)"  # likewise: they move, too
)
_GIVE_ALL: LiteralString = "UPDATE slices SET is_owned = false"
_GIVE: LiteralString = """
    UPDATE slices SET is_owned = false, epoch = epoch + 1 WHERE slice = %s AND is_owned
"""
_TAKE: LiteralString = """
    UPDATE slices SET is_owned = true, epoch = %(epoch)s WHERE slice = %(slice)s AND epoch < %(epoch)s
"""
"""A slice that was taken under this epoch, and may have moved on since, is not taken again."""

_TAKE_BACK: LiteralString = """
    UPDATE slices SET is_owned = true, epoch = epoch + 1
    WHERE slice = %s AND NOT is_owned AND NOT EXISTS (
        SELECT FROM leaving_slices WHERE leaving_slices.slice = slices.slice
    )
"""
_SELECT_EPOCH: LiteralString = """
    SELECT epoch, EXISTS (SELECT FROM leaving_slices WHERE leaving_slices.slice = slices.slice)
    FROM slices WHERE slice = %s
"""

_IS_HELD: LiteralString = """
    SELECT EXISTS (SELECT FROM visitors WHERE digest BETWEEN %(low)s AND %(high)s)
        OR EXISTS (SELECT FROM refusals WHERE visitor_digest BETWEEN %(low)s AND %(high)s)
        OR EXISTS (SELECT FROM counted_blocks WHERE visitor_digest BETWEEN %(low)s AND %(high)s)
        OR EXISTS (SELECT FROM erased_visitors WHERE token >> 60 & 15 = %(slice)s)
        OR EXISTS (
            SELECT FROM offerlog_events WHERE originator_id BETWEEN %(low)s AND %(high)s
              AND substr(originator_id::text, 2, 9) <> '0000000-0' -- with the second 0: of an organization
        )
"""
_SELECT_POLICIES: LiteralString = "SELECT organization, action_map_id, suppress_for FROM action_map_policies"
_INSERT_POLICY: LiteralString = """
    INSERT INTO action_map_policies (organization, action_map_id, suppress_for) VALUES (%s, %s, %s)
    ON CONFLICT (organization, action_map_id) DO UPDATE SET suppress_for = excluded.suppress_for
"""
_RAISE_EPOCH: LiteralString = "UPDATE log_epoch SET epoch = epoch + 1"


def make_home(store: OfferlogApplication) -> None:
    """Make a store the home of an installation of several: it owns all slices at first. Again, do nothing.

    Raises:
        ShardError: It is a shard already, others are connected, or something is there that works with one
            server alone.
        StoreUnavailableError: The store cannot be reached.
    """
    with _connected(store) as connection, connection.transaction():
        cursor = connection.cursor(row_factory=tuple_row)
        cursor.execute(_LOCK)
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATIONS_LOCK,))  # no service starts meanwhile
        identity = read_identity(store)  # behind the lock: another call may have just made it one
        if identity is not None:
            _check_home(identity)
            return
        others = _select_others(cursor)
        if others:
            names = ", ".join(f"{name or 'without a name'} ({count})" for name, count, _ in others)
            raise ShardError(
                f"others are connected to this store: {names}. Stop all services first: they would go on as"
                " if this store had all visitors" + (_HIDDEN if any(hidden for *_, hidden in others) else "")
            )
        cursor.execute(_INSERT_SHARD, (HOME, uuid4()))
        cursor.execute(_INSERT_DIRECTORY, (HOME,))


def _select_others(cursor: Cursor[tuple[Any, ...]]) -> Sequence[tuple[str, int, bool]]:
    """Select who else is connected. A session that has been closed takes a moment to go."""
    until = time.monotonic() + _ENDING_SECONDS
    while True:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        others: list[Any] = cursor.execute(_SELECT_OTHER_CLIENTS).fetchall()
        if not others or time.monotonic() >= until:
            return others
        time.sleep(0.05)


def add_shard(home: OfferlogApplication, target: OfferlogApplication, url: str, slices: Sequence[int]) -> int:
    """Make an empty store a shard, and give it empty slices of the home; return its number.

    The same call again goes on with one that was interrupted. Policies of action maps must not be changed
    meanwhile: the new shard gets those of the home before its slices.

    Args:
        home: The log of the home.
        target: The log of the other store.
        url: The address of the other store, as the home is to keep it.
        slices: The slices; none for a shard that gets its slices by moves.

    Raises:
        ShardError: The store is not empty, or belongs to another installation. Or the home does not own a
            slice, or holds something of a visitor in it.
        FenceTimeoutError: Some writers of the home have not ended. Nothing is lost: call again.
        StoreUnavailableError: One of the stores cannot be reached.
    """
    identity = read_identity(home)
    if identity is None:
        raise ShardError("this store is the only one so far: run `offerlog shards init` first")
    _check_home(identity)
    with _connected(home) as held, held.transaction():
        cursor = held.cursor(row_factory=tuple_row)
        cursor.execute(_LOCK)  # until the end: the steps below commit on other connections
        number = _find_number(home, target, identity, url)
        found = cursor.execute(_SELECT_OWNERS, ([*slices],)).fetchall()
        owners: dict[int, int] = {one: owner for one, owner, _ in found}
        foreign = [one for one in slices if owners[one] not in {HOME, number}]
        if foreign:
            raise ShardError(
                f"another shard has the slices {format_slices(foreign)}: see `offerlog shards status`, and"
                " move them by `offerlog shards move`"
            )
        full = [one for one in slices if owners[one] == HOME and _is_held(home, one)]
        if full:
            for one in full:
                _run(home, _TAKE_BACK, one)  # an interrupted call may have given it away
            raise _not_empty(full)
        _run(home, _INSERT_ADDRESS, number, url)  # before the store has the number: so no other one gets it
        _number(target, ShardIdentity(number, identity.installation))
        _copy_policies(home, target)
        for one, owner, epoch in found:
            if owner == HOME:
                _hand_over(home, target, one, number)
            else:  # an interrupted call may have promised it
                _take(target, one, epoch)
    return number


def _find_number(
    home: OfferlogApplication, target: OfferlogApplication, identity: ShardIdentity, url: str
) -> int:
    """Return the number of the new shard.

    Raises:
        ShardError: The other store is not empty or belongs to another installation, or there are too many.
    """
    found = read_identity(target)
    if found is not None:
        if found == identity:
            raise ShardArgumentError("this is the address of the home itself: give that of another server")
        if found.installation != identity.installation:
            raise ShardError("the other store belongs to another installation of several")
        return found.number
    if _select(target, _USED) != [(False,)]:
        raise _used()
    known = _select(home, _SELECT_SHARD, url)
    if known:
        number, has_slices = known[0]
        if has_slices:
            raise ShardError(f"shard {number} has that address, and the store there is another one now")
        return int(number)  # an interrupted call has kept the number for it
    ((number,),) = _select(home, _SELECT_NEXT)
    if number > MOST_SHARDS:
        raise ShardError(f"there are {MOST_SHARDS:,} shards already")
    return int(number)


def _number(target: OfferlogApplication, identity: ShardIdentity) -> None:
    """Give an empty store its number: it counts positions and refusals behind all others, and owns no slice.

    Raises:
        ShardError: The store is not empty.
    """
    if read_identity(target) == identity:
        return
    first = (identity.number << SHARD_BITS) + 1
    renumber = sql.SQL("ALTER SEQUENCE {} MINVALUE {} MAXVALUE {} START {} RESTART").format(
        sql.Identifier(POSITIONS_SEQUENCE),
        sql.Literal(first),
        sql.Literal(first + (1 << SHARD_BITS) - 2),
        sql.Literal(first),
    )
    with _connected(target) as connection, connection.transaction():
        cursor = connection.cursor(row_factory=tuple_row)
        cursor.execute("LOCK TABLE offerlog_events, organizations IN EXCLUSIVE MODE")
        if cursor.execute(_USED).fetchone() != (False,):
            raise _used()
        cursor.execute(renumber)
        cursor.execute(_NUMBER_REFUSALS, (first,))
        cursor.execute(_GIVE_ALL)
        cursor.execute(_INSERT_SHARD, identity)


def _hand_over(home: OfferlogApplication, target: OfferlogApplication, number: int, shard: int) -> None:
    """Hand an empty slice over to a shard; see the module.

    Raises:
        ShardError: The slice is not empty any more; the home has it again.
    """
    _run(home, _GIVE, number)
    PostgresFence(home).finish(_FENCE_SECONDS)
    ((epoch, is_moving),) = _select(home, _SELECT_EPOCH, number)
    if is_moving:
        raise ShardError(f"a move of slice {number:x} is under way: see `offerlog shards status`")
    if _is_held(home, number):
        _run(home, _TAKE_BACK, number)
        raise _not_empty([number])
    # The promise first: if the call ends here, the same call takes the slice, and no other shard gets it.
    _run(home, _UPDATE_DIRECTORY, shard, epoch + 1, number)
    _take(target, number, epoch + 1)


def _take(target: OfferlogApplication, number: int, epoch: int) -> None:
    """Take a slice that the directory promises under this epoch, unless that was done."""
    with _connected(target) as connection, connection.transaction():
        connection.execute(_TAKE, {"epoch": epoch, "slice": number})


def _is_held(store: OfferlogApplication, number: int) -> bool:
    """Return True if a store holds anything of a visitor of a slice."""
    low, high = UUID(int=number << 124), UUID(int=(number + 1 << 124) - 1)
    with _connected(store) as connection:
        row = connection.cursor(row_factory=tuple_row).execute(
            _IS_HELD, {"low": low, "high": high, "slice": number}
        )
        return row.fetchone() == (True,)


def _used() -> ShardError:
    return ShardError("the other store is not empty: a shard begins with a store of its own")


def _not_empty(slices: Sequence[int]) -> ShardError:
    return ShardError(
        f"visitors of the slices {format_slices(slices)} are known already: add the server without them, and"
        " move them by `offerlog shards move`"
    )


def _copy_policies(home: OfferlogApplication, target: OfferlogApplication) -> None:
    """Put the policies of the home in force at a new shard; the log of the home alone has their events."""
    policies = _select(home, _SELECT_POLICIES)
    with _connected(target) as connection, connection.transaction():
        for organization, action_map_id, suppress_for in policies:
            connection.execute(_INSERT_POLICY, (organization, action_map_id, Jsonb(suppress_for)))
        connection.execute(_RAISE_EPOCH)


def _check_home(identity: ShardIdentity) -> None:
    if identity.number != HOME:
        raise ShardError(f"this store is shard {identity.number} of an installation, and not its home")


@contextmanager
def _connected(store: OfferlogApplication) -> Iterator[Connection[Any]]:
    """Lend a connection in auto-commit mode."""
    with store_reached(store.log.datastore), store.log.datastore.get_connection() as connection:
        yield connection


def _run(store: OfferlogApplication, statement: LiteralString, *values: object) -> None:
    with _connected(store) as connection, connection.transaction():
        connection.execute(statement, values)


def _select(store: OfferlogApplication, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    with _connected(store) as connection:
        return connection.cursor(row_factory=tuple_row).execute(statement, values or None).fetchall()
