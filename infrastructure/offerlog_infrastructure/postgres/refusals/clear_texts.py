"""Sealing of texts of refused signals that an older offerlog has stored as they are."""

import logging
from typing import Any, Final, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_domain.outcomes import cut_text
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.postgres.connections import open_unlimited
from offerlog_infrastructure.postgres.errors import ask_again, store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusedTexts

_PAGE: Final = 250
"""Rows that one transaction seals; with the longest texts of older stores they take 16 MiB."""

_LOCK_KEY: Final = 0x6F66_6C72_7365_616C
"""The advisory lock of the process that seals."""

_SELECT_REST: LiteralString = "SELECT after, last FROM refusals_in_clear"
_SELECT_PAGE: LiteralString = """
    SELECT id, organization, recorded_at, reason, sealed_text, raw_length FROM refusals
    WHERE id > %s AND id <= %s ORDER BY id LIMIT %s
"""
_UPDATE_PAGE: LiteralString = """
    UPDATE refusals SET sealed_text = page.sealed_text, raw_length = page.raw_length
    FROM unnest(%s::bigint[], %s::bytea[], %s::integer[]) AS page (id, sealed_text, raw_length)
    WHERE refusals.id = page.id
"""
_UPDATE_REST: LiteralString = "UPDATE refusals_in_clear SET after = %s"

# A column that is computed anew has the table, and its TOAST, written into new files from the visible rows
# alone. Its statistics, which hold samples, are dropped. VACUUM FULL would keep former rows that some old
# transaction may still see.
_REWRITE_TABLE: LiteralString = """
    ALTER TABLE refusals ALTER COLUMN sealed_text TYPE bytea USING sealed_text || ''::bytea;
    DELETE FROM refusals_in_clear
"""

_log = logging.getLogger(__name__)


def seal_clear_texts(application: OfferlogApplication) -> None:
    """Seal the texts that stand in clear, page by page, and write their table anew.

    An interrupted call is continued by the next one. Of several processes one works, and the others wait.

    Raises:
        StoreUnavailableError: The store cannot be reached.
        KeyringError: The keyring cannot decrypt an organization's secret.
    """
    if not ask_again(lambda: _stand_in_clear(application)):
        return
    datastore = application.log.datastore
    with store_reached(datastore), open_unlimited(application.dsn, datastore.schema) as connection:
        with announced("another process that seals the texts of refused signals"):
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
        _seal_all(connection, RefusedTexts(application.keys))


def _stand_in_clear(application: OfferlogApplication) -> bool:
    datastore = application.log.datastore
    with store_reached(datastore), datastore.cursor() as cursor:
        return cursor.execute(_SELECT_REST).fetchone() is not None


def _seal_all(connection: Connection[Any], texts: RefusedTexts) -> None:
    with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        rest = cursor.execute(_SELECT_REST).fetchone()
        if rest is None:  # another process was first
            return
        after, last = rest
        _log.warning(
            "sealing the texts of refused signals (up to %s), which an older offerlog has stored as they are;"
            " this is done once",
            f"{last - after:,}",
        )
        while page := cursor.execute(_SELECT_PAGE, (after, last, _PAGE)).fetchall():
            sealed: list[tuple[int, bytes, int | None]] = []
            for number, organization, recorded_at, reason, text, length in page:
                kept, cut_length = cut_text(text)  # an older offerlog kept texts whole
                place = organization, recorded_at, reason
                sealed.append((number, texts.seal(*place, kept), cut_length if length is None else length))
            after = page[-1][0]
            with connection.transaction():
                cursor.execute(_UPDATE_PAGE, [list(column) for column in zip(*sealed, strict=True)])
                cursor.execute(_UPDATE_REST, (after,))
    with connection.transaction():
        connection.execute(_REWRITE_TABLE)
