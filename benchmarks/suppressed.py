"""Very many suppressed pairs at once: two for each of `visitor-0`, `visitor-1`, …, as projected."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from offerlog_domain.event_fields import PrivateFields
from offerlog_domain.events import Rejected
from offerlog_domain.identity import OrganizationKey, VisitorKey, name_offer
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.keyring.file_keyring import FileKeyring
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_encoding import encode_private
from offerlog_infrastructure.postgres.log.visitors import VISITOR_COLUMNS, VISITOR_TYPES, VisitorKeys
from offerlog_infrastructure.settings import read_store_settings

_ORGANIZATION = "default"
_PAIRS = "visitor, since, version, action_map_id, organization, state, sealed"
_PAIR_TYPES = ("int8", "timestamptz", "int4", "uuid", "text", "text", "bytea")
_MAPS = [UUID(int=number + 1) for number in range(100)]
_PAGE = 50_000
_NEW_VISITORS_A_SECOND = 10  # so that no two of them draw the same token


def fill(dsn: str, pairs: int, behind: int = 0) -> None:
    """Add the visitors of the pairs from `behind` on, and their rows in the suppression list."""
    keyring = FileKeyring(read_store_settings().keyring)
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        closing(OfferlogApplication(dsn, SCHEMA, keyring=keyring)) as application,
    ):
        key = OrganizationKey(_ORGANIZATION, application.keys.secret(_ORGANIZATION))
        made = _make(application.visitor_keys, key, range(behind // 2, pairs // 2))
        while page := [one for _, one in zip(range(_PAGE), made, strict=False)]:
            for table, columns, types, rows in (
                ("visitors", VISITOR_COLUMNS, VISITOR_TYPES, [visitor for visitor, _ in page]),
                ("suppressions", _PAIRS, _PAIR_TYPES, [row for _, found in page for row in found]),
            ):
                with connection.cursor().copy(
                    f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)".encode()
                ) as copy:
                    copy.set_types(types)
                    for row in rows:
                        copy.write_row(row)


def _make(keys: VisitorKeys, key: OrganizationKey, numbers: range) -> Iterator[tuple[Any, list[Any]]]:
    """Yield the row of each visitor, with two rows of the suppression list."""
    now = datetime.now(UTC)
    for number in numbers:
        visitor = VisitorKey("cookie", f"visitor-{number}")
        digest = key.digest(visitor)
        maps = (_MAPS[number % 100], _MAPS[(number + 1) % 100])
        first_seen = now - timedelta(seconds=number // _NEW_VISITORS_A_SECOND)
        new = keys.make(name_offer(_ORGANIZATION, digest, maps[0], visitor), visitor, first_seen)
        found = []
        for action_map in maps:
            private = PrivateFields(session_id=UUID(int=number), action_id=UUID(int=number), event_id=digest)
            stream = new.stream(action_map)
            sealed = stream.seal(encode_private(private), 3, Rejected.stored_name.encode())
            found.append((new.token, now, 3, action_map, _ORGANIZATION, "rejected", sealed))
        yield new.row, found
