"""The application's `WebhookStore` on PostgreSQL."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import Cursor
from psycopg.rows import DictRow

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.positions import LogPosition, PositionVector, by_shard, latest_position
from offerlog_application.ports.shards import HOME
from offerlog_application.ports.webhooks import (
    MOST_ENDPOINTS,
    MOST_SECRETS,
    DeliveryTurn,
    DisableReason,
    EnabledWebhook,
    WebhookAttempts,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookLag,
    WebhookLimitError,
)
from offerlog_domain.uuids import format_uuid
from offerlog_infrastructure.postgres.archive.archived_lag import ArchivedLag
from offerlog_infrastructure.postgres.connections import StoreConnection
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.feed.lag import Lag, read_lags
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.webhooks import statements

_TURN_LOCK: Final = 0x6F66_6C72_7768_6F6B
"""The advisory lock of the process that delivers ("oflrwhok" in ASCII)."""

_PRUNED_AT_ONCE: Final = 1_000
"""The most dead letters that one statement deletes."""

_ANSWER_SECONDS: Final = 5.0
"""Seconds to wait for an answer before the turn counts as lost."""


class PostgresWebhooks:
    """Endpoints and deliveries in tables; thread-safe.

    A method has the errors of the method of `WebhookStore`, and those that it names.
    Each that asks the store raises `StoreUnavailableError` if the store cannot be reached.

    Args:
        application: The log.
        clock: The service's clock, by which lag is measured.
    """

    def __init__(self, application: OfferlogApplication, clock: Clock) -> None:
        self._application = application
        self._datastore = application.reading
        self._keys = application.keys
        self._clock = clock

    def insert(self, endpoint: WebhookEndpoint, secret: bytes) -> None:
        """Store a new endpoint.

        Raises:
            KeyringError: The secret cannot be encrypted.
        """
        wrapped = self._keys.wrap(secret)
        row = (
            endpoint.id,
            endpoint.organization,
            endpoint.url,
            list(endpoint.types),
            list(endpoint.action_maps),
            endpoint.created_at,
            *_split(endpoint.position),
        )
        with self._changing() as cursor:
            cursor.execute(statements.LOCK_ORGANIZATION, (endpoint.organization,))
            found = cursor.execute(statements.COUNT_ENDPOINTS, (endpoint.organization,)).fetchone()
            if found is not None and found["number"] >= MOST_ENDPOINTS:
                raise WebhookLimitError
            cursor.execute(statements.INSERT_ENDPOINT, row)
            cursor.execute(statements.INSERT_SIGNING_KEY, (endpoint.id, *wrapped))

    def all(self, organization: str | None = None) -> Sequence[WebhookLag]:
        """List the endpoints of one organization, or of all, in the order of their making."""
        mapper = self._application.event_mapper
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            return read_webhooks(
                cursor,
                mapper,
                self._clock.now(),
                ArchivedLag(cursor.connection, self._application.archived_files),
                organization,
            )

    def measure_lags(self, positions: Sequence[int]) -> Sequence[Lag]:
        """Return how far the log of this server is ahead of some positions."""
        mapper = self._application.event_mapper
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            archived = ArchivedLag(cursor.connection, self._application.archived_files)
            return measure_lags(cursor, positions, mapper, self._clock.now(), archived)

    def is_any_enabled(self) -> bool:
        """Return True if an endpoint is enabled."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            row = cursor.execute(statements.SELECT_IS_ANY_ENABLED).fetchone()
        return row is not None and bool(row["enabled"])

    def enabled(self, now: datetime) -> Sequence[EnabledWebhook]:
        """List all endpoints that are enabled, and tell which of them have something due."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            rows = cursor.execute(statements.SELECT_ENABLED, {"now": now}, prepare=True).fetchall()
        return [EnabledWebhook(_read_endpoint(row), row["is_due"]) for row in rows]

    def find(self, endpoint: str) -> WebhookEndpoint | None:
        """Return an endpoint; None if there is none of that id."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            row = cursor.execute(statements.SELECT_ENDPOINT, (endpoint,)).fetchone()
        return None if row is None else _read_endpoint(row)

    def delete(self, endpoint: str) -> None:
        """Delete an endpoint, with all that waits for it."""
        with self._changing() as cursor:
            cursor.execute(statements.DELETE_ENDPOINT, (endpoint,))

    def delete_all(self, organization: str) -> int:
        """Delete the endpoints of an organization, with all that waits for them; returns their number.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        with self._changing() as cursor:
            return cursor.execute(statements.DELETE_ENDPOINTS, (organization,)).rowcount

    def secrets(self, endpoint: str, now: datetime) -> Sequence[bytes]:
        """Return the secrets that sign for an endpoint, the newest first.

        Raises:
            KeyringError: A secret cannot be decrypted.
        """
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            rows = cursor.execute(statements.SELECT_SECRETS, (endpoint, now)).fetchall()
        return [self._keys.unwrap(row["kek"], bytes(row["wrapped_secret"])) for row in rows]

    def rotate(self, endpoint: str, secret: bytes, now: datetime, keep: timedelta) -> None:
        """Give an endpoint another secret; the former ones are valid for a while longer at most.

        Raises:
            KeyringError: The secret cannot be encrypted.
        """
        wrapped = self._keys.wrap(secret)
        with self._changing() as cursor:
            cursor.execute(statements.END_SECRETS, {"endpoint": endpoint, "until": now + keep})
            cursor.execute(statements.DELETE_ENDED_SECRETS, (endpoint, now))
            cursor.execute(statements.INSERT_SIGNING_KEY, (endpoint, *wrapped))
            cursor.execute(statements.DELETE_OLDEST_SECRETS, (endpoint, endpoint, MOST_SECRETS))

    def disable(self, endpoint: str, because: DisableReason, now: datetime) -> None:
        """Disable an endpoint, unless it is disabled."""
        with self._changing() as cursor:
            cursor.execute(statements.DISABLE, (now, because.value, endpoint))

    def enable(self, endpoint: str) -> None:
        """Enable an endpoint. It does not rest, and its count of failures begins anew."""
        with self._changing() as cursor:
            cursor.execute(statements.ENABLE, (endpoint,))

    def skip(self, endpoint: str, position: LogPosition) -> None:
        """Set an endpoint to a position of the log, and forget what waits for it; dead letters stay."""
        with self._changing() as cursor:
            cursor.execute(statements.SET_POSITION, (*_split(position), endpoint))
            cursor.execute(statements.DELETE_PENDING, (endpoint,))

    def next_due(self, endpoint: str, now: datetime, limit: int) -> Sequence[WebhookDelivery]:
        """Return deliveries that are due: each the first of its visitor, and of these those due longest."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            rows = cursor.execute(statements.SELECT_DUE, (endpoint, now, limit), prepare=True).fetchall()
        return [WebhookDelivery(**row) for row in rows]

    def held_visitors(self, endpoint: str, visitors: Collection[str]) -> Collection[str]:
        """Return those of some visitors of whom a delivery waits."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            rows = cursor.execute(statements.SELECT_HELD, (endpoint, list(visitors)), prepare=True).fetchall()
        return {row["visitor"] for row in rows}

    def note_read(self, endpoint: str, position: LogPosition) -> None:
        """Note how far the log was read for an endpoint; a lower position of a log changes nothing there."""
        with self._changing() as cursor:
            cursor.execute(statements.NOTE_READ, _moving_on(endpoint, position))

    def note_all_read(self, endpoints: Collection[str], start: LogPosition, end: LogPosition) -> None:
        """Note that the log has nothing for some endpoints after `start` up to `end`."""
        begun, other_starts = _split(start)
        where = {"ids": list(endpoints), "start": begun, "other_starts": other_starts}
        with self._changing() as cursor:
            cursor.execute(statements.NOTE_ALL_READ, _moving_on("", end) | where)

    def note_attempts(self, attempts: WebhookAttempts) -> None:
        """Note the results of some attempts: all of them, or none."""
        endpoint, delivered, failed = attempts.endpoint, list(attempts.delivered), attempts.failed
        with self._changing() as cursor:
            if stored := [asdict(one) for one in (*failed, *attempts.held)]:
                # Before the cursor moves on: no delivery is inserted of an event that it is past.
                store = statements.UPDATE_DELIVERY if attempts.are_resent else statements.INSERT_DELIVERY
                cursor.executemany(store, stored)
            if delivered:
                cursor.execute(statements.DELETE_DELIVERIES, (endpoint, delivered))
                row = {**_moving_on(endpoint, _latest(delivered)), "number": len(delivered)}
                cursor.execute(statements.NOTE_DELIVERED, row)
            if failed:
                row = {
                    **_moving_on(endpoint, _latest([one.position for one in failed])),
                    "number": len(failed),
                    "given_up": sum(one.dead_at is not None for one in failed),
                    "now": attempts.ended_at,
                    "resting_until": attempts.resting_until,
                }
                cursor.execute(statements.NOTE_FAILED, row)
            if attempts.held:
                latest = _latest([one.position for one in attempts.held])
                cursor.execute(statements.NOTE_READ, _moving_on(endpoint, latest))

    def postpone(self, endpoint: str, position: int, until: datetime) -> None:
        """Let a delivery wait, without an attempt: its event cannot be read now."""
        with self._changing() as cursor:
            cursor.execute(statements.POSTPONE, (until, endpoint, position))

    def deliveries(self, endpoint: str, *, are_dead: bool, limit: int) -> Sequence[WebhookDelivery]:
        """List dead letters of an endpoint, or deliveries that wait, by position."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            rows = cursor.execute(statements.SELECT_DELIVERIES, (endpoint, are_dead, limit)).fetchall()
        return [WebhookDelivery(**row) for row in rows]

    def send_again(self, endpoint: str, position: int | None, now: datetime) -> int:
        """Make a dead letter, or all of an endpoint, wait for an attempt again; returns their number."""
        where = {"endpoint": endpoint, "position": position, "now": now}
        with self._changing() as cursor:
            return cursor.execute(statements.SEND_AGAIN, where).rowcount

    def prune(self, before: datetime) -> int:
        """Delete some of the dead letters that were given up before a time; returns their number."""
        with self._changing() as cursor:
            return cursor.execute(statements.PRUNE, {"before": before, "limit": _PRUNED_AT_ONCE}).rowcount

    def claim_turn(self) -> DeliveryTurn | None:
        """Claim the right to deliver; None while another process has it."""
        if self._is_turn_taken():
            return None
        with store_reached(self._datastore):
            connection = self._application.connect(answer_within=_ANSWER_SECONDS)
            try:
                row = connection.execute("SELECT pg_try_advisory_lock(%s) AS mine", (_TURN_LOCK,)).fetchone()
            except BaseException:
                connection.close()
                raise
        if row is not None and row["mine"]:
            return _LockedTurn(connection)
        connection.close()
        return None

    def _is_turn_taken(self) -> bool:
        """Return True if some process delivers. Others look each second, and open no connection for that."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            row = cursor.execute(
                statements.SELECT_IS_LOCKED, (_TURN_LOCK >> 32, _TURN_LOCK & 0xFFFF_FFFF)
            ).fetchone()
        return row is not None and bool(row["locked"])

    @contextmanager
    def _changing(self) -> Iterator[Cursor[DictRow]]:
        with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
            yield cursor


def read_webhooks(
    cursor: Cursor[DictRow],
    mapper: EventMapper,
    now: datetime,
    archived: ArchivedLag,
    organization: str | None = None,
) -> Sequence[WebhookLag]:
    """Read endpoints with their lag, in the order of their making.

    Args:
        cursor: A cursor that returns dictionaries.
        mapper: Reads the next event, for its time.
        now: The time.
        archived: Has the archived events behind each of them.
        organization: The tenant; None for all.
    """
    rows = cursor.execute(statements.SELECT_WITH_LAG, {"organization": organization}).fetchall()
    lags = read_lags(rows, mapper, now, archived)
    return [WebhookLag(_read_endpoint(row), *lag) for row, lag in zip(rows, lags, strict=True)]


def measure_lags(
    cursor: Cursor[DictRow],
    positions: Sequence[int],
    mapper: EventMapper,
    now: datetime,
    archived: ArchivedLag,
) -> Sequence[Lag]:
    """Return how far the log of a store is ahead of some positions of it; see `read_webhooks`."""
    rows = cursor.execute(statements.MEASURE_LAGS, (list(positions),)).fetchall()
    return read_lags(rows, mapper, now, archived)


class _LockedTurn:
    """The turn, as long as the connection lives that holds its lock."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def is_valid(self) -> bool:
        """Return False once the right is lost."""
        try:
            self._connection.execute("SELECT")
        except psycopg.Error:
            return False
        return True

    def close(self) -> None:
        """Give the right to another process."""
        with suppress(psycopg.Error):
            self._connection.close()


def _split(position: LogPosition) -> tuple[int, list[int]]:
    """Return the part of a position for the home, or for the only server, and those for the others."""
    parts = by_shard(position)
    return parts.get(HOME, 0), [one for shard, one in sorted(parts.items()) if shard != HOME]


def _latest(positions: Sequence[int]) -> LogPosition:
    return latest_position(positions) or 0


def _moving_on(endpoint: str, position: LogPosition) -> dict[str, Any]:
    """Return the parameters of a statement that lets the cursor of an endpoint move on."""
    home, others = _split(position)
    return {"endpoint": endpoint, "home": home, "others": others}


def _read_endpoint(row: DictRow) -> WebhookEndpoint:
    because = row["disabled_because"]
    return WebhookEndpoint(
        row["id"],
        row["organization"],
        row["url"],
        tuple(row["types"]),
        tuple(format_uuid(one) for one in row["action_maps"]),
        row["created_at"],
        PositionVector((row["position"], *row["others"])) if row["others"] else row["position"],
        row["disabled_at"],
        None if because is None else DisableReason(because),
        row["resting_until"],
        row["failures"],
        row["failing_since"],
        row["delivered"],
        row["failed"],
        row["given_up"],
        row["pending"],
        row["dead_letters"],
    )
