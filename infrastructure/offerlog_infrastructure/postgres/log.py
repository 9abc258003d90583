"""The log behind the application's ports: whole groups loaded by one query, appended by one COPY."""

import secrets
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, LiteralString
from uuid import UUID

import psycopg
from eventsourcing.persistence import InterfaceError, OperationalError, StoredEvent

from offerlog_application.ports import StoreUnavailable
from offerlog_domain.events import Fact
from offerlog_domain.outcomes import Refusal
from offerlog_domain.visitor_offer import VisitorOffer, evolve
from offerlog_infrastructure.postgres.application import OfferlogApplication

_LOAD: LiteralString = """
    SELECT e.originator_id, e.originator_version, e.topic, e.state
    FROM unnest(%s::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT * FROM offerlog_events
        WHERE originator_id = wanted.id ORDER BY originator_version
    ) AS e
"""

_MAKE_KEY: LiteralString = """
    INSERT INTO organizations (organization, secret) VALUES (%s, %s) ON CONFLICT DO NOTHING
"""
_READ_KEY: Final[LiteralString] = "SELECT secret FROM organizations WHERE organization = %s"


@contextmanager
def store_reached() -> Iterator[None]:
    """Turn the driver's ways of saying "no connection" into the application's."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StoreUnavailable(f"the store cannot be reached: {error}") from error


@contextmanager
def server_reached() -> Iterator[None]:
    """As `store_reached`, for connections made without the library."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"the store cannot be reached: {error}") from error


class PostgresLog:
    """The application's `EventLog` and `Streams`; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application
        self._mapper = application.mapper
        self._secrets: dict[str, bytes] = {}
        self._secrets_lock = threading.Lock()

    def load(self, streams: Collection[UUID]) -> Mapping[UUID, VisitorOffer]:
        """Every visitor-offer asked for, as stored now; an unknown one is at version 0.

        Raises:
            StoreUnavailable: The store cannot be reached.
            UnreadableEvent: A stored event is unknown to this build.
        """
        offers = {stream: VisitorOffer(stream) for stream in streams}
        with store_reached(), self._application.log.datastore.get_connection() as connection:
            cursor = connection.cursor(binary=True)
            for row in cursor.execute(_LOAD, (list(offers),), prepare=True):
                stored = StoredEvent(
                    row["originator_id"], row["originator_version"], row["topic"], row["state"]
                )
                offers[row["originator_id"]] = evolve(offers[row["originator_id"]], self._fact(stored))
        return offers

    def append(self, facts: Sequence[Fact], refusals: Sequence[Refusal]) -> int | None:
        """Store both in one transaction; returns the last position drawn, None without facts.

        Raises:
            VersionConflict: Nothing was stored; load that stream again.
            StoreUnavailable: Nothing was stored.
            OutcomeUnknown: It may or may not have been stored.
        """
        events = [self._mapper.to_stored_event(fact) for fact in facts]
        with store_reached():
            return self._application.log.append(events, refusals)

    def facts(self, stream: UUID) -> Sequence[Fact]:
        """The whole stream, in order.

        Raises:
            StoreUnavailable: The store cannot be reached.
        """
        with store_reached():
            return [self._fact(stored) for stored in self._application.recorder.select_events(stream)]

    def secret(self, organization: str) -> bytes:
        """The organization's key for stream ids, made at first use; 32 bytes.

        Raises:
            StoreUnavailable: The store cannot be reached.
        """
        known = self._secrets.get(organization)
        if known is not None:
            return known
        with self._secrets_lock, store_reached(), self._application.log.datastore.cursor() as cursor:
            cursor.execute(_MAKE_KEY, (organization, secrets.token_bytes(32)))
            row = cursor.execute(_READ_KEY, (organization,)).fetchone()
            assert row is not None  # noqa: S101 - the statement before made it
            secret = bytes(row["secret"])
            self._secrets[organization] = secret
            return secret

    def _fact(self, stored: StoredEvent) -> Fact:
        fact = self._mapper.to_domain_event(stored)
        assert isinstance(fact, Fact)  # noqa: S101 - the mapper knows no other kind
        return fact
