"""The library's own test cases for recorders, run against ours on a fresh migrated database each."""

from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import uuid4

import pytest
from eventsourcing.persistence import ProgrammingError, StoredEvent, Tracking
from eventsourcing.tests import persistence as library

from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.recorders import LogRecorder, PositionRecorder, StreamRecorder
from support.recount import rows

_STREAMS = """
    CREATE TABLE streams (originator_id uuid, originator_version integer, topic text NOT NULL,
        state bytea NOT NULL, PRIMARY KEY (originator_id, originator_version))
"""


@pytest.fixture
def application(make_dsn: Callable[[], str]) -> Iterator[OfferlogApplication]:
    """The application over a fresh migrated database."""
    dsn = make_dsn()
    rows(dsn, _STREAMS)
    with closing(OfferlogApplication(dsn, SCHEMA)) as application:
        yield application


class _OnAFreshDatabase:
    application: OfferlogApplication

    @pytest.fixture(autouse=True)
    def _open(self, application: OfferlogApplication) -> None:
        self.application = application


class TestStreamRecorder(_OnAFreshDatabase, library.AggregateRecorderTestCase):
    """Streams without a global order, over a table like the log's."""

    def create_recorder(self) -> StreamRecorder:
        """A recorder on the application's own pool."""
        return StreamRecorder(self.application.log.datastore, events_table_name="streams")


class TestLogRecorder(_OnAFreshDatabase, library.ApplicationRecorderTestCase[LogRecorder]):
    """The log, with the recorder that the application itself writes with."""

    EXPECT_CONTIGUOUS_NOTIFICATION_IDS = False  # a refused append has drawn positions that stay dead

    def create_recorder(self) -> LogRecorder:
        """The application's recorder over the migrated table."""
        return self.application.log

    def test_insert_subscribe(self) -> None:
        """The library leaves this one to recorders that can be subscribed to; ours can."""
        self.optional_test_insert_subscribe()


class TestPositionRecorder(_OnAFreshDatabase, library.TrackingRecorderTestCase):
    """The positions of the views, with the recorder that the projector writes with."""

    def create_recorder(self) -> PositionRecorder:
        """The application's recorder over the migrated table."""
        return self.application.positions


def test_the_positions_returned_are_those_read(application: OfferlogApplication) -> None:
    """What `insert_events` returns is, event by event, what a reader of the log gets."""
    stored = [StoredEvent(uuid4(), 1, f"topic{n}", b"state") for n in range(20)]
    drawn = application.log.insert_events(stored)
    read = application.log.select_notifications(None, 100)
    assert drawn == [notification.id for notification in read]
    assert [notification.topic for notification in read] == [event.topic for event in stored]


def test_a_view_starts_at_the_beginning(application: OfferlogApplication) -> None:
    """A migrated database has a position for each of the three views, and it is 0."""
    for view in ("current_state", "suppression", "performance"):
        assert application.positions.max_tracking_id(view) == 0
        application.positions.insert_tracking(Tracking(view, 7))
        assert application.positions.max_tracking_id(view) == 7


@pytest.mark.parametrize("on", ["y", "yes", "true", "on", "1"])
def test_the_librarys_database_functions_are_refused(dsn: str, on: str) -> None:
    """With them a tailing reader misses events, so neither the application nor the service starts."""
    with pytest.raises(ProgrammingError, match="POSTGRES_ENABLE_DB_FUNCTIONS must stay off"):
        OfferlogApplication(dsn, SCHEMA, {"POSTGRES_ENABLE_DB_FUNCTIONS": on})
    with pytest.raises(ProgrammingError, match="readers of the log miss events"):
        open_offerlog(database_url=dsn, library_settings={"POSTGRES_ENABLE_DB_FUNCTIONS": on})


def test_the_process_environment_is_not_the_librarys_to_read(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stray variable can neither switch the functions on nor point the log elsewhere."""
    monkeypatch.setenv("POSTGRES_ENABLE_DB_FUNCTIONS", "y")
    monkeypatch.setenv("POSTGRES_DBNAME", "nowhere")
    monkeypatch.setenv("PERSISTENCE_MODULE", "eventsourcing.popo")
    with closing(OfferlogApplication(dsn, SCHEMA)) as application:
        assert not application.log.datastore.enable_db_functions
        assert application.log.max_notification_id() is None
