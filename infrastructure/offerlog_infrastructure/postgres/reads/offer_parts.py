"""Counts, times and rows that one of several stores adds to answers about the offers of all."""

import sys
from array import array
from collections.abc import Collection, Mapping, Sequence
from typing import Final, LiteralString

from offerlog_application.ports.offer_parts import AskedNumber, CohortSeconds, NumberCounts, OfferRows
from offerlog_application.ports.offer_reads import ListPlace
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.identity import ActionMapId
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.listed_offers import select_some
from offerlog_infrastructure.postgres.reads.map_counts import select_media_types
from offerlog_infrastructure.postgres.reads.offer_snapshots import offer_parameters, offer_snapshot
from offerlog_infrastructure.postgres.reads.offers import SELECT_TOO_MANY, STEPS, STEPS_OF_ACTIONS
from offerlog_infrastructure.postgres.reads.read_transaction import read_transaction

# The binary form of a double precision number has eight bytes, the highest first.
_SELECT_SECONDS: Final[LiteralString] = f"""
    SELECT action_map_id::text,
        string_agg(float8send(accepted), ''::bytea ORDER BY accepted) AS accepted,
        string_agg(float8send(started), ''::bytea ORDER BY started) AS started,
        string_agg(float8send(engaged), ''::bytea ORDER BY engaged) AS engaged
    FROM ({STEPS_OF_ACTIONS}) AS steps
    GROUP BY action_map_id
"""


class PostgresOfferParts:
    """The application's `OfferParts`; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._keys = application.visitor_keys

    def media_types(
        self, query: ReportQuery, action_maps: Sequence[ActionMapId]
    ) -> Mapping[ActionMapId, Collection[str]]:
        """Return the media types that the actions of these maps had at any time."""
        with read_transaction(self._datastore) as cursor:
            return select_media_types(cursor, query, action_maps)

    def seconds(self, query: ReportQuery, most: int) -> CohortSeconds | None:
        """Measure the steps of the actions that were offered in a range; None if more were accepted."""
        with offer_snapshot(self._datastore) as snapshot:
            parameters = offer_parameters(query, list(snapshot.count(query)))
            if snapshot.select(SELECT_TOO_MANY, parameters | {"most": most})[0]["too_many"]:
                return None
            rows = snapshot.select(_SELECT_SECONDS, parameters)
        return CohortSeconds(
            snapshot.position,
            {row["action_map_id"]: {step: _decode_numbers(row[step]) for step in STEPS} for row in rows},
        )

    def count_behind(self, asked: AskedNumber) -> NumberCounts:
        """Count the offers behind a number, by action map."""
        with offer_snapshot(self._datastore) as snapshot:
            return NumberCounts(snapshot.position, snapshot.count_behind(asked))

    def some_behind(self, asked: AskedNumber, place: ListPlace, limit: int, most: int) -> OfferRows:
        """Return offers behind a number of the only map of the query, in one part of its list."""
        with offer_snapshot(self._datastore) as snapshot:
            count = sum(snapshot.count_behind(asked).values())
            rows, looked_to = select_some(snapshot.cursor, self._keys, asked, place, (limit, most))
            return OfferRows(snapshot.position, count, rows, looked_to)


def _decode_numbers(stored: bytes | None) -> "array[float]":
    found = array("d")
    found.frombytes(b"" if stored is None else bytes(stored))
    if sys.byteorder == "little":
        found.byteswap()
    return found
