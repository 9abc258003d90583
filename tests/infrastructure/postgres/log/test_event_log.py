"""What is appended is there whole or not at all, and a conflict says where it is."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import Mock
from uuid import UUID, uuid4

import psycopg
import pytest

from offerlog_application.ports.event_log import HeldStreams, StoreUnavailableError, VersionConflictError
from offerlog_domain.event_fields import Event, PrivateFields, RecordedEvent
from offerlog_domain.events import Offered
from offerlog_domain.identity import OfferKey, VisitorKey, name_offer
from offerlog_domain.outcomes import Reason, Refusal
from offerlog_domain.visitor_offer import VisitorOffer, fold
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from offerlog_infrastructure.postgres.log.lost_commit import CommittedAppend
from offerlog_infrastructure.postgres.log.mapper import EventRow
from offerlog_infrastructure.postgres.reads.stream_reader import PostgresStreamReader
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusedTexts
from support.keyrings import run_keyring
from support.recount import rows

AT = datetime(2025, 3, 10, 10, tzinfo=UTC)


def offered(offer: OfferKey, version: int = 1) -> RecordedEvent[Offered]:
    """An invitation, as a version of a visitor-offer."""
    private = PrivateFields(session_id=uuid4(), action_id=uuid4())
    event = Offered(
        organization="acme",
        action_map_id=offer.action_map_id,
        recorded_at=AT,
        media_type="webchat",
        occurred_at=AT,
        action_number=version,
        offered_at=AT,
    )
    return RecordedEvent(offer.id, version, event, private)


def an_offer(visitor: UUID | None = None) -> OfferKey:
    """A visitor-offer of nobody in particular."""
    return name_offer("acme", visitor or uuid4(), uuid4(), VisitorKey("cookie", "visitor"))


def append(log: PostgresLog, *drafts: tuple[OfferKey, int], refusals: Sequence[Refusal] = ()) -> int | None:
    """Append invitations as a writer does: load first."""
    log.load(list({offer.id: offer for offer, _ in drafts}.values()))
    return log.append([offered(*draft) for draft in drafts], refusals)


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
    position = append(log, *[(an_offer(), 1) for _ in range(3)], refusals=[refusal(), refusal()])
    assert stored(dsn) == (3, 2)
    assert rows(dsn, "SELECT max(notification_id) FROM offerlog_events") == [(position,)]
    assert log.append([], [refusal()]) is None
    assert stored(dsn) == (3, 3)


def test_what_was_appended_is_loaded(log: PostgresLog, application: OfferlogApplication) -> None:
    """By whoever wrote it and by others, also what another one has added since."""
    offer, unknown = an_offer(), an_offer()
    events: list[RecordedEvent[Event]] = [offered(offer, version) for version in (1, 2, 3)]
    log.load([offer])
    log.append(events[:2], [])
    assert log.load([offer])[offer.id] == fold(events[:2], VisitorOffer(offer.id))
    other = PostgresLog(application)
    other.load([offer])
    other.append(events[2:], [])
    for reader in (log, PostgresLog(application)):
        loaded = reader.load([offer, unknown])
        assert {id_: found.version for id_, found in loaded.items()} == {offer.id: 3, unknown.id: 0}
    assert PostgresStreamReader(application).events(offer) == events
    assert PostgresStreamReader(application).events(unknown) == []


def test_the_key_of_a_visitor_is_not_decrypted_by_who_has_just_stored_it(
    log: PostgresLog, application: OfferlogApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next signal comes soon. Once keys are forgotten, it is decrypted again."""
    # given
    offer, unwrap = an_offer(), Mock(wraps=application.keys.unwrap)
    log.key(offer.organization)
    monkeypatch.setattr(application.keys, "unwrap", unwrap)
    # when
    append(log, (offer, 1))
    append(log, (offer, 2))
    # then
    assert unwrap.call_count == 0
    # when
    application.visitor_keys.forget()
    append(log, (offer, 3))
    # then
    assert unwrap.call_count == 1


def test_a_long_stream_is_read_once_though_nothing_is_appended(
    application: OfferlogApplication, log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowded visitor-offer refuses signals without an event: each must not read all of it again."""
    # given a long stream that another process has written
    offer = an_offer()
    append(PostgresLog(application), *[(offer, version) for version in range(1, 301)])
    read: list[int] = []
    newer = log._loader._select

    def noted(*asked: Any, **options: Any) -> Any:
        found = newer(*asked, **options)
        read.append(len(found))
        return found

    monkeypatch.setattr(log._loader, "_select", noted)
    # when it is loaded twice, and once more after it has grown
    loaded = [log.load([offer])[offer.id] for _ in range(2)]
    append(PostgresLog(application), (offer, 301))
    grown = log.load([offer])[offer.id]
    # then only what is new is read again, and the last event that is known
    assert read == [300, 1, 2]
    assert loaded[0] == loaded[1]
    assert grown.version == 301


@pytest.mark.parametrize("loss", ["end", "visitor", "another event in its place"])
def test_what_the_store_has_lost_is_not_remembered(
    log: PostgresLog, application: OfferlogApplication, dsn: str, loss: str
) -> None:
    """After a fail-over to a copy that was behind, say: no version is left out, and none is made up."""
    # given a visitor-offer that this process knows
    offer = an_offer()
    events: list[RecordedEvent[Event]] = [offered(offer, version) for version in (1, 2, 3)]
    begun = log.load([offer])[offer.id]
    log.append(events, [], [fold(events, begun)])
    # when the store loses a part of it
    if loss == "visitor":
        rows(dsn, "DELETE FROM visitors")
        rows(dsn, "DELETE FROM offerlog_events")
    else:
        rows(dsn, "DELETE FROM offerlog_events WHERE originator_version > 2")
    if loss == "another event in its place":
        append(PostgresLog(application), (offer, 3))
    # then what is loaded is what the store has
    assert log.load([offer])[offer.id] == fold(PostgresStreamReader(application).events(offer), begun)
    # and the next event can be read by everybody
    append(log, (offer, len(PostgresStreamReader(application).events(offer)) + 1))
    assert PostgresLog(application).load([offer])[offer.id].version == log.load([offer])[offer.id].version


def test_what_was_loaded_from_another_server_is_loaded_again(log: PostgresLog, dsn: str) -> None:
    """Between load and append a copy may take over that is behind: nothing is built on that."""
    # given a visitor-offer that was loaded
    offer = an_offer()
    append(log, (offer, 1))
    log.load([offer])
    # when another server answers the append: its start tells it, which a test cannot bring about here
    log._loader.server = "another start"
    with pytest.raises(VersionConflictError) as caught:
        log.append([offered(offer, 2)], [])
    # then nothing is stored before it is loaded anew
    assert not caught.value.streams
    assert not caught.value.waiting
    assert stored(dsn) == (1, 0)
    assert append(log, (offer, 2)) is not None


def test_a_number_that_another_transaction_got_is_no_proof_of_a_commit(
    application: OfferlogApplication, log: PostgresLog, dsn: str
) -> None:
    """What counts is whether it is there: the same event, or the same refusal."""
    append(log, (an_offer(), 1))
    kept, another = RefusedTexts(application.keys).to_rows([refusal(), refusal(b"another")])
    application.log.append([], [kept], epoch=log.epoch())
    ((position, *stored_row),) = rows(
        dsn, "SELECT notification_id, originator_version, originator_id, topic, state FROM offerlog_events"
    )
    there_row = EventRow(*stored_row)
    with application.log.datastore.cursor() as cursor:
        there = partial(application.log._lost_commit._find_stored, cursor)
        assert there([there_row], []) == CommittedAppend(position)
        assert not there([there_row._replace(originator_id=uuid4())], [])
        assert not there([there_row._replace(state=b"another")], [])
        assert there([], [kept]) == CommittedAppend()
        assert not there([], [another])
    # the server has not given out that number
    assert application.log._lost_commit.find("99999999", [there_row], []) is None


@pytest.mark.parametrize("at_fault", [0, 1, 250, 1_499])
def test_a_conflict_names_the_visitor_offer_and_stores_nothing(
    log: PostgresLog, application: OfferlogApplication, dsn: str, at_fault: int
) -> None:
    """Wherever in the batch it is, the taken version is found and the rest is not kept.

    The visitors are few: of 1,500 new ones in a second, two draw the same token in one of 250 runs.
    """
    visitors = [uuid4() for _ in range(10)]
    offers = [an_offer(visitors[n % 10]) for n in range(1_500)]
    append(log, *[(offer, 1) for offer in offers])
    log.load(offers)
    append(PostgresLog(application), (offers[at_fault], 2))
    with pytest.raises(VersionConflictError) as caught:
        log.append([offered(offer, 2) for offer in offers], [refusal()])
    assert caught.value.streams == {offers[at_fault].id}
    assert not caught.value.waiting
    assert stored(dsn) == (1_501, 0)


def test_a_visitor_whom_another_writer_records_first_is_a_conflict_of_all_visitor_offers(
    log: PostgresLog, application: OfferlogApplication, dsn: str
) -> None:
    """Two processes see a visitor for the first time: one makes token and key, the other decides again."""
    # given two writers that know nothing of a visitor
    visitor = uuid4()
    offers = [an_offer(visitor), an_offer(), an_offer(visitor)]
    log.load(offers)
    append(PostgresLog(application), (offers[0], 1))
    # when the second one appends
    with pytest.raises(VersionConflictError) as caught:
        log.append([offered(offer) for offer in offers], [])
    # then nothing is stored, and the next try finds the visitor
    assert caught.value.streams == {offers[0].id, offers[2].id}
    assert not caught.value.waiting
    assert stored(dsn) == (1, 0)
    assert append(log, (offers[0], 2), (offers[1], 1), (offers[2], 1)) is not None
    assert rows(dsn, "SELECT count(*) FROM visitors") == [(2,)]


def test_a_version_in_another_ones_hands_is_a_conflict_too(log: PostgresLog, dsn: str) -> None:
    """While another transaction sits on the version, an append gives up after the lock timeout."""
    offers = [an_offer() for _ in range(20)]
    append(log, *[(offer, 1) for offer in offers])
    log.load(offers)
    held = log._streams.open(offers[7].id, AT).id
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as other:
        other.execute(
            "INSERT INTO offerlog_events (originator_version, originator_id, topic, state)"
            " VALUES (2, %s, 'x', '')",
            (held,),
        )
        with pytest.raises(VersionConflictError) as caught:
            log.append([offered(offer, 2) for offer in offers], [refusal()])
        assert caught.value.streams == {offers[7].id}
        assert caught.value.waiting
        other.rollback()
    assert stored(dsn) == (20, 0)
    assert append(log, *[(offer, 2) for offer in offers], refusals=[refusal()]) is not None
    assert stored(dsn) == (40, 1)


def test_a_new_visitor_in_another_ones_hands_is_found_without_waiting(log: PostgresLog, dsn: str) -> None:
    """A writer that hangs while it makes visitors: all of theirs are found at once, and no others."""
    offers = [an_offer() for _ in range(30)]
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as other:
        for number, offer in enumerate(offers[::3]):
            other.execute(
                "INSERT INTO visitors (token, digest, kek, organization, wrapped_key, names)"
                " VALUES (%s, %s, 1, 'acme', '', '')",
                (number, offer.visitor_digest),
            )
        log.load(offers)
        with pytest.raises(VersionConflictError) as caught:
            log.append([offered(offer) for offer in offers], [])
        assert caught.value.waiting
        found = log.find_held({offer.id: 1 for offer in offers}, 30, urgent=True)
        assert found == HeldStreams(frozenset(offer.id for offer in offers[::3]))
        other.rollback()
    log.close()
    assert rows(dsn, "SELECT count(*) FROM visitors") == [(0,)]


def test_rows_go_into_the_log_and_never_straight_into_a_partition(dsn: str) -> None:
    """A row that bypasses the log's lock could be passed over by readers: INSERT and COPY are refused."""
    values = "(originator_version, originator_id, topic, state) VALUES (1, %s, 'x', '')"
    for digit in "0123456789abcdef":
        stream = UUID(digit * 32)
        with pytest.raises(psycopg.errors.WrongObjectType, match=f"not into its partition .*_{digit}"):
            rows(dsn, f"INSERT INTO offerlog_events_{digit} {values}", stream)
        rows(dsn, f"INSERT INTO offerlog_events {values}", stream)
        assert rows(dsn, f"SELECT originator_id FROM offerlog_events_{digit}") == [(stream,)]  # noqa: S608 - a digit
    with (
        psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as other,
        pytest.raises(psycopg.errors.WrongObjectType),
        other.cursor().copy("COPY offerlog_events_5 (originator_id) FROM STDIN"),
    ):
        pass


def test_a_refusal_that_cannot_be_stored_takes_the_events_with_it(log: PostgresLog, dsn: str) -> None:
    """One transaction: an event is never there without the refusals that belong to it."""
    rows(dsn, "ALTER TABLE refusals ADD CONSTRAINT never CHECK (octet_length(sealed_text) < 48)")
    with pytest.raises(Exception, match="never"):
        append(log, (an_offer(), 1), refusals=[refusal(b"far too long for this table")])
    assert stored(dsn) == (0, 0)


def test_an_organizations_key_is_made_once(log: PostgresLog, application: OfferlogApplication) -> None:
    """Every process gets the same 32 bytes, and every organization its own."""
    key = log.key("acme")
    with closing(OfferlogApplication(application.dsn, SCHEMA, keyring=run_keyring())) as another:
        assert PostgresLog(another).key("acme").has_secret_of(key)
    assert not log.key("other").has_secret_of(key)
    assert log.is_current(key)


def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    """Opening the log names the cause in the application's words."""
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        open_offerlog(database_url="host=127.0.0.1 port=1 dbname=x user=x password=x")
