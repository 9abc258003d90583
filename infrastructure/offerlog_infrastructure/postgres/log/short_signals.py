"""Short signals in PostgreSQL: the actions that are found by their id alone, and the signals that wait."""

import logging
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

import msgspec
from psycopg import sql
from psycopg.rows import tuple_row

from offerlog_application.ports.read_models import KeptSignal
from offerlog_application.ports.short_signals import (
    MAX_PARKED_SHORT_SIGNALS,
    FoundAction,
    NamedAction,
    ParkedShortSignal,
    Parkings,
)
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.events import Offered
from offerlog_domain.identity import OfferKey, name_offer
from offerlog_domain.short_signals import ShortSignal
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.append_transaction import AppendStep
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.mapper import EventRow
from offerlog_infrastructure.postgres.organization_sealers import OrganizationSealers
from offerlog_infrastructure.postgres.reads.streaming import stream_rows
from offerlog_infrastructure.postgres.store_keys import StoreKeys
from offerlog_infrastructure.sealing import UnsealError

PARKINGS_TABLE: Final = "parked_short_signals"
_ACTIONS_TABLE: Final = "named_actions"

_LABEL: Final = b"offerlog: short signals that wait"

_INSERT_ACTIONS: LiteralString = "INSERT INTO {} (visitor, recorded_at, action_digest, action_map_id) VALUES "
"""A statement of its own, and not COPY: a further COPY takes a further round trip. The values are numbers, a
time and hexadecimal digits, so nothing needs quoting. For one row they cost half of what arrays cost."""

_INSERT_PARKINGS: LiteralString = """
    INSERT INTO {} (parked_at, raw_length, action_digest, organization, state, sealed)
    SELECT parked_at, raw_length, action_digest, organization, state, decode(sealed, 'hex')
    FROM unnest({}::timestamptz[], {}::integer[], {}::uuid[], {}::text[], {}::text[], {}::text[])
        AS one (parked_at, raw_length, action_digest, organization, state, sealed)
    ON CONFLICT (action_digest, state) DO NOTHING
"""
_END_PARKINGS: LiteralString = "SELECT {}({}::bigint[])"

_FIND_ACTIONS: LiteralString = """
    SELECT action_digest, visitor_digest, action_map_id FROM find_named_actions(%s::text::uuid[])
"""
_FIND_PARKINGS: LiteralString = """
    SELECT action_digest, state, number FROM parked_short_signals WHERE action_digest = ANY(%s::text::uuid[])
"""
_COUNT_PARKINGS: LiteralString = """
    SELECT count(*) FROM (
        SELECT FROM parked_short_signals WHERE organization = %s LIMIT %s
    ) AS waiting
"""
_SELECT_DUE: LiteralString = """
    SELECT number, organization, action_digest, state, parked_at, raw_length, sealed
    FROM parked_short_signals AS parked
    WHERE number <> ALL (%s::bigint[]) AND (
        parked_at <= %s
        OR (SELECT count(*) FROM find_named_actions(ARRAY[parked.action_digest])) BETWEEN 1 AND %s
    )
    ORDER BY number LIMIT %s
"""
_SELECT_WAITING: LiteralString = """
    SELECT number, action_digest, state, parked_at, raw_length, sealed FROM parked_short_signals
    WHERE organization = %(organization)s AND number > %(number)s ORDER BY number LIMIT %(limit)s
"""
_WAITING_PAGE: Final = 500

_DELETE_ACTIONS: LiteralString = """
    DELETE FROM named_actions WHERE ctid = ANY (
        ARRAY(SELECT ctid FROM named_actions WHERE recorded_at < %s LIMIT %s)
    )
"""
_DELETED_AT_ONCE: Final = 10_000
"""The most actions that one transaction forgets."""

_encode: Final = msgspec.msgpack.Encoder().encode
_Sealed = tuple[str, str, str | None, str | None, str | None, bytes]
"""The sealed part: ids of action and session, error code and message, event id, text."""
_decode: Final = msgspec.msgpack.Decoder(_Sealed).decode

_log = logging.getLogger(__name__)


class ParkedTexts:
    """Seals and opens the short signals that wait, each bound to its action and state; thread-safe.

    Args:
        keys: The secrets of the organizations.
    """

    def __init__(self, keys: StoreKeys) -> None:
        self._sealers = OrganizationSealers(keys, _LABEL)

    def seal(self, parked: ParkedShortSignal, digest: UUID) -> bytes:
        """Seal one signal."""
        one = parked.signal
        text: _Sealed = (
            one.action_id,
            one.session_id,
            one.error_code,
            one.error_message,
            one.event_id,
            parked.raw,
        )
        return self._sealers.of(parked.organization).seal(_encode(text), _place_of(digest, one.state.value))

    def open(self, organization: str, digest: UUID, state: str, sealed: bytes) -> tuple[ShortSignal, bytes]:
        """Open one signal; returns it with its text.

        Raises:
            UnsealError: It was changed or moved.
        """
        text = self._sealers.of(organization).open(sealed, _place_of(digest, state))
        action_id, session_id, code, message, event_id, raw = _decode(text)
        signal = ShortSignal(
            action_id=action_id,
            state=state,  # type: ignore[arg-type] # as on the wire
            session_id=session_id,
            error_code=code,
            error_message=message,
            event_id=event_id,
        )
        return signal, raw


def _place_of(digest: UUID, state: str) -> bytes:
    return digest.bytes + state.encode()


class ShortSignalTables:
    """The tables of short signals, for the writer of the log.

    Args:
        application: The log.
        action_time: Time for which an action is found by its id alone (`Rules.named_action_time`).
    """

    def __init__(self, application: OfferlogApplication, action_time: timedelta) -> None:
        self._datastore = application.log.datastore
        self._keys = application.keys
        self._texts = ParkedTexts(application.keys)
        self._action_time = action_time
        schema = self._datastore.schema
        actions = sql.Identifier(schema, _ACTIONS_TABLE)
        self._insert_actions = sql.SQL(_INSERT_ACTIONS).format(actions).as_bytes(None)
        self._parkings = sql.Identifier(schema, PARKINGS_TABLE)
        self._end = sql.Identifier(schema, "end_short_parkings")

    def find(self, actions: Collection[NamedAction]) -> Mapping[NamedAction, FoundAction]:
        """Return all these actions, as the store knows them now.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        named = {self._digest(*action): action for action in actions}
        asked = _uuids(named)
        offers: dict[NamedAction, list[OfferKey]] = {action: [] for action in actions}
        parked: dict[NamedAction, dict[str, int]] = {action: {} for action in actions}
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.cursor(binary=True, row_factory=tuple_row) as cursor,
        ):
            for digest, visitor, action_map_id in cursor.execute(_FIND_ACTIONS, (asked,), prepare=True):
                action = named[digest]
                offers[action].append(name_offer(action.organization, visitor, action_map_id))
            for digest, state, number in cursor.execute(_FIND_PARKINGS, (asked,), prepare=True):
                parked[named[digest]][state] = number
            unknown = {action.organization for action, found in offers.items() if len(found) != 1}
            crowded = {
                organization
                for organization in unknown
                if cursor.execute(_COUNT_PARKINGS, (organization, MAX_PARKED_SHORT_SIGNALS)).fetchone()
                == (MAX_PARKED_SHORT_SIGNALS,)
            }
        return {
            action: FoundAction(found, parked[action], action.organization in crowded)
            for action, found in offers.items()
        }

    def make_steps(
        self, drafts: Iterable[tuple[EventRow, RecordedEvent[Event] | None]], parkings: Parkings
    ) -> list[AppendStep]:
        """Return the statements of an append that note the offered actions, and begin and end parkings."""
        steps = []
        values: list[str] = []
        times: dict[datetime, str] = {}  # a group has one
        for row, one in drafts:
            if one is None:  # a tally of blocked offers
                continue
            event = one.event
            if isinstance(event, Offered) and event.occurred_at > event.recorded_at - self._action_time:
                recorded_at = event.recorded_at
                text = times.get(recorded_at) or times.setdefault(recorded_at, recorded_at.isoformat())
                digest = self._digest(event.organization, one.private.action_id)
                values.append(
                    f"({token_of(row.originator_id)},'{text}','{digest.int:032x}','{event.action_map_id.int:032x}')"
                )
        if values:
            statement = self._insert_actions + ",".join(values).encode()
            steps.append(AppendStep(statement, _ACTIONS_TABLE))
        if parkings.begun:
            steps.append(AppendStep(self._insert_parkings(parkings.begun), PARKINGS_TABLE))
        if parkings.ended:
            ended = sql.SQL(_END_PARKINGS).format(self._end, sql.Literal(sorted(parkings.ended)))
            steps.append(AppendStep(ended.as_bytes(None), PARKINGS_TABLE))
        return steps

    def _insert_parkings(self, begun: Sequence[ParkedShortSignal]) -> bytes:
        """Return the statement that inserts parkings, in the order that all writers keep."""
        rows: list[tuple[Any, ...]] = sorted(
            (self._digest(one.organization, one.action_id), one.signal.state.value, n)
            for n, one in enumerate(begun)
        )
        columns: list[list[Any]] = [[], [], [], [], [], []]
        for digest, state, n in rows:
            one = begun[n]
            sealed = self._texts.seal(one, digest).hex()
            values = one.parked_at, one.raw_length, digest, one.organization, state, sealed
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        return sql.SQL(_INSERT_PARKINGS).format(self._parkings, *map(sql.Literal, columns)).as_bytes(None)

    def _digest(self, organization: str, action_id: UUID) -> UUID:
        return self._keys.key(organization).action_digest(action_id)


class PostgresParkedShortSignals:
    """The application's `ParkedShortSignals`; thread-safe.

    A method has the errors of the method of `ParkedShortSignals`, and those that it names.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._texts = ParkedTexts(application.keys)
        self._damaged: set[int] = set()

    def waiting(self, organization: str) -> Generator[KeptSignal]:
        """Stream the short signals of an organization that wait, in order of arrival."""
        where = {"organization": organization}
        for row in stream_rows(self._datastore, _SELECT_WAITING, where, {"number": 0}, page=_WAITING_PAGE):
            digest, state = row["action_digest"], row["state"]
            _, raw = self._texts.open(organization, digest, state, bytes(row["sealed"]))
            yield KeptSignal(row["parked_at"], None, None, None, raw, row["raw_length"] or len(raw))

    def due(
        self, parked_before: datetime, limit: int, besides: Collection[int] = (), *, most_offers: int = 1
    ) -> Sequence[ParkedShortSignal]:
        """Return short signals whose action is known by now, or that were parked up to a time.

        One that cannot be opened is left out, and logged once.

        Raises:
            KeyringError: The keyring cannot decrypt an organization's secret.
        """
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            rows = cursor.execute(_SELECT_DUE, (list(besides), parked_before, most_offers, limit)).fetchall()
        found = []
        for number, organization, digest, state, parked_at, raw_length, sealed in rows:
            try:
                signal, raw = self._texts.open(organization, digest, state, sealed)
            except UnsealError:
                if number not in self._damaged:
                    self._damaged.add(number)
                    _log.warning("row %d of parked_short_signals cannot be opened", number)
                continue
            action_id = UUID(signal.action_id)
            found.append(
                ParkedShortSignal(organization, action_id, signal, parked_at, raw, raw_length, number)
            )
        return found

    def forget_actions(self, before: datetime) -> int:
        """Forget the actions whose offers were recorded before a time, in steps; returns their number."""
        forgotten = 0
        while True:
            with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
                step = cursor.execute(_DELETE_ACTIONS, (before, _DELETED_AT_ONCE)).rowcount
            forgotten += step
            if step < _DELETED_AT_ONCE:
                return forgotten


def _uuids(uuids: Iterable[UUID]) -> str:
    """Return the text of an array of UUIDs: the driver takes arrays apart in Python, which costs more."""
    return f"{{{','.join([f'{one.int:032x}' for one in uuids])}}}"
