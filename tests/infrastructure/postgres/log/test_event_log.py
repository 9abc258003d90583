"""What is appended is there whole or not at all, and a conflict says where it is."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from offerlog_application.ports.event_log import StoreUnavailableError, VersionConflictError
from offerlog_domain.event_fields import Event, PrivateFields, RecordedEvent
from offerlog_domain.events import Offered
from offerlog_domain.outcomes import Reason, Refusal
from offerlog_domain.visitor_offer import fold
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from offerlog_infrastructure.postgres.log.lost_commit import CommittedAppend
from offerlog_infrastructure.postgres.reads.stream_reader import PostgresStreamReader
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusedTexts
from support.keyrings import run_keyring
from support.recount import rows

AT = datetime(2025, 3, 10, 10, tzinfo=UTC)


def offered(stream: UUID, version: int = 1) -> RecordedEvent[Offered]:
    """An invitation, as a version of a stream."""
    private = PrivateFields(
        customer_id="visitor", customer_id_type="cookie", session_id=uuid4(), action_id=uuid4()
    )
    event = Offered(
        organization="acme",
        action_map_id=uuid4(),
        recorded_at=AT,
        media_type="webchat",
        occurred_at=AT,
        action_number=version,
        offered_at=AT,
    )
    return RecordedEvent(stream, version, event, private)


def refusal(raw: bytes = b"no signal") -> Refusal:
    """A line of the refusal log."""
    return Refusal("acme", AT, Reason.MALFORMED, None, "not JSON", raw)


@pytest.fixture
def application(dsn: str) -> Iterator[OfferlogApplication]:
    """The application over an empty log."""
    with closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as application:
        yield application


@pytest.fixture
def log(application: OfferlogApplication) -> PostgresLog:
    """The log over an empty database."""
    return PostgresLog(application)


def stored(dsn: str) -> tuple[int, int]:
    """How many events and how many refusals there are."""
    ((events, refusals),) = rows(
        dsn, "SELECT (SELECT count(*) FROM offerlog_events), (SELECT count(*) FROM refusals)"
    )
    return events, refusals


def test_events_and_refusals_are_appended_together(log: PostgresLog, dsn: str) -> None:
    """The position returned is that of the last event; without events there is none."""
    streams = [uuid4() for _ in range(3)]
    position = log.append([offered(stream) for stream in streams], [refusal(), refusal()])
    assert stored(dsn) == (3, 2)
    assert rows(dsn, "SELECT max(notification_id) FROM offerlog_events") == [(position,)]
    assert log.append([], [refusal()]) is None
    assert stored(dsn) == (3, 3)


def test_what_was_appended_is_loaded(log: PostgresLog, application: OfferlogApplication) -> None:
    """By whoever wrote it and by others, also what another one has added since."""
    stream, unknown = uuid4(), uuid4()
    events: list[RecordedEvent[Event]] = [offered(stream, version) for version in (1, 2, 3)]
    log.append(events[:2], [])
    assert log.load([stream])[stream] == fold(events[:2], log.load([unknown])[unknown]._replace(id=stream))
    PostgresLog(application).append(events[2:], [])
    for reader in (log, PostgresLog(application)):
        loaded = reader.load([stream, unknown])
        assert {id_: offer.version for id_, offer in loaded.items()} == {stream: 3, unknown: 0}
    assert PostgresStreamReader(application).events(stream) == events
    assert PostgresStreamReader(application).events(unknown) == []


def test_a_long_stream_is_read_once_though_nothing_is_appended(
    application: OfferlogApplication, log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowded visitor-offer refuses signals without an event: each must not read all of it again."""
    # given a long stream that another process has written
    stream = uuid4()
    events: list[RecordedEvent[Event]] = [offered(stream, version) for version in range(1, 301)]
    PostgresLog(application).append(events, [])
    read: list[int] = []
    newer = log._select_newer_events

    def noted(offers: Any) -> Any:
        found = newer(offers)
        read.append(len(found))
        return found

    monkeypatch.setattr(log, "_select_newer_events", noted)
    # when it is loaded twice, and once more after it has grown
    loaded = [log.load([stream])[stream] for _ in range(2)]
    PostgresLog(application).append([offered(stream, 301)], [])
    grown = log.load([stream])[stream]
    # then only what is new is read again, and the last event that is known
    assert read == [300, 1, 2]
    assert loaded[0] == loaded[1]
    assert grown.version == 301


@pytest.mark.parametrize("loss", ["DELETE FROM offerlog_events WHERE originator_version > 1", "other"])
def test_what_the_store_has_lost_is_not_remembered(
    log: PostgresLog, application: OfferlogApplication, dsn: str, loss: str
) -> None:
    """After a fail-over to a copy that was behind, say: no version is left out, and none is made up."""
    stream = uuid4()
    events: list[RecordedEvent[Event]] = [offered(stream, version) for version in (1, 2, 3)]
    begun = log.load([stream])[stream]
    log.append(events, [], [fold(events, begun)])
    if loss == "other":  # and somebody has written something else in its place
        rows(dsn, "UPDATE offerlog_events SET state = (SELECT state FROM offerlog_events WHERE"
             " originator_version = 2) WHERE originator_version = 3")  # fmt: skip
    else:
        rows(dsn, loss)
    assert log.load([stream])[stream] == fold(PostgresStreamReader(application).events(stream), begun)


def test_a_number_that_another_transaction_got_is_no_proof_of_a_commit(
    application: OfferlogApplication, log: PostgresLog, dsn: str
) -> None:
    """What counts is whether it is there: the same event, or the same refusal."""
    one, other = offered(uuid4()), offered(uuid4())
    texts = RefusedTexts(application.keys)
    kept, another = texts.to_rows([refusal(), refusal(b"another")])
    application.log.append([application.event_mapper.row(one)], [kept], epoch=log.epoch())
    row = application.event_mapper.row
    with application.log.datastore.cursor() as cursor:
        there = partial(application.log._lost_commit._find_stored, cursor)
        position = rows(dsn, "SELECT max(notification_id) FROM offerlog_events")[0][0]
        assert there([row(one)], []) == CommittedAppend(position)
        assert not there([row(other)], [])
        assert not there([row(one)._replace(state=b"another")], [])
        assert there([], [kept]) == CommittedAppend()
        assert not there([], [another])
    # the server has not given out that number
    assert application.log._lost_commit.find("99999999", [row(one)], []) is None


@pytest.mark.parametrize("at_fault", [0, 1, 250, 1_499])
def test_a_conflict_names_the_stream_and_stores_nothing(log: PostgresLog, dsn: str, at_fault: int) -> None:
    """Wherever in the batch it is, the taken version is found and the rest is not kept."""
    streams = [uuid4() for _ in range(1_500)]
    log.append([offered(streams[at_fault])], [])
    with pytest.raises(VersionConflictError) as caught:
        log.append([offered(stream) for stream in streams], [refusal()])
    assert caught.value.stream == streams[at_fault]
    assert not caught.value.waiting
    assert stored(dsn) == (1, 0)


def test_a_version_in_another_ones_hands_is_a_conflict_too(
    log: PostgresLog, application: OfferlogApplication, dsn: str
) -> None:
    """While another transaction sits on the version, an append gives up after the lock timeout."""
    streams = [uuid4() for _ in range(20)]
    row = application.event_mapper.row(offered(streams[7]))
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as other:
        other.execute(
            "INSERT INTO offerlog_events (originator_version, originator_id, topic, state)"
            " VALUES (%s, %s, %s, %s)",
            row,
        )
        with pytest.raises(VersionConflictError) as caught:
            log.append([offered(stream) for stream in streams], [refusal()])
        assert caught.value.stream == streams[7]
        assert caught.value.waiting
        other.rollback()
    assert stored(dsn) == (0, 0)
    assert log.append([offered(stream) for stream in streams], [refusal()]) is not None
    assert stored(dsn) == (20, 1)


def test_a_refusal_that_cannot_be_stored_takes_the_events_with_it(log: PostgresLog, dsn: str) -> None:
    """One transaction: an event is never there without the refusals that belong to it."""
    rows(dsn, "ALTER TABLE refusals ADD CONSTRAINT never CHECK (octet_length(sealed_text) < 48)")
    with pytest.raises(Exception, match="never"):
        log.append([offered(uuid4())], [refusal(b"far too long for this table")])
    assert stored(dsn) == (0, 0)


def test_an_organizations_key_is_made_once(log: PostgresLog, application: OfferlogApplication) -> None:
    """Every process gets the same 32 bytes, and every organization its own."""
    key = log.secret("acme")
    assert len(key) == 32
    assert PostgresLog(application).secret("acme") == key
    assert log.secret("other") != key


def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    """Opening the log names the cause in the application's words."""
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        open_offerlog(database_url="host=127.0.0.1 port=1 dbname=x user=x password=x")
