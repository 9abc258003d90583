"""The visitors of rewritten streams: one row each, however often and however close together they come."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain, repeat
from uuid import UUID, uuid4

import pytest
from psycopg.rows import tuple_row

from offerlog_domain.identity import OfferKey, VisitorKey
from offerlog_domain.stream_ids import slice_of, token_of
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.conversion.visitors_of_streams import StreamVisitors
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from support.keyrings import run_keyring
from support.recount import rows

AT = datetime(2026, 3, 9, 8, 0, 0, 999_999, tzinfo=UTC)


@pytest.fixture
def application(dsn: str) -> Iterator[OfferlogApplication]:
    """The application over an empty log."""
    with closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as application:
        yield application


def streams_of(
    visitors: StreamVisitors, names: list[str], at: datetime = AT
) -> dict[UUID, tuple[OfferKey, VisitorKey, datetime]]:
    """Two old streams of each visitor, the second a year later."""
    later = at.replace(year=at.year + 1)
    return {
        uuid4(): (
            visitors.name("acme", VisitorKey("cookie", name), uuid4()),
            VisitorKey("cookie", name),
            moment,
        )
        for name in names
        for moment in (at, later)
    }


def test_visitors_who_draw_the_token_of_another_draw_again(
    application: OfferlogApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an import, one second has thousands of visitors. Those of an earlier page keep their tokens."""
    # given
    visitors = StreamVisitors(application.keys, application.visitor_keys)
    pages = [[f"v{n}" for n in range(40)], [f"v{n}" for n in range(20, 60)]]
    with application.connect() as connection, connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        tokens: dict[str, int] = {}
        for page in pages:
            draws = chain(repeat(7, 40), iter(lambda: secrets.randbelow(1 << 24), None))
            monkeypatch.setattr(secrets, "randbits", lambda _, draws=draws: next(draws))
            wanted = streams_of(visitors, page)
            # when
            with connection.transaction():
                opened = visitors.open(cursor, wanted)
            # then
            for stream, (offer, visitor, _) in wanted.items():
                token = token_of(opened[stream].id)
                assert tokens.setdefault(visitor.id, token) == token
                assert slice_of(opened[stream].id) == slice_of(offer.visitor_digest)
                assert (token >> 28) & 0xFFFF_FFFF == int(AT.timestamp())
    assert len(set(tokens.values())) == 60
    assert rows(application.dsn, "SELECT count(*) FROM visitors") == [(60,)]
