"""The conditions of the steps, one by one: what happens between two of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from psycopg import Connection

from offerlog import Offerlog
from offerlog_application.ports.event_log import StaleEpochError
from offerlog_application.ports.slices import StoredRow
from offerlog_domain.identity import ActionMapId, VisitorKey
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.postgres.archive.archiver import PostgresArchiver
from offerlog_infrastructure.postgres.archive.cold_streams import ColdStream
from offerlog_infrastructure.postgres.archive.new_files import NewFile
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from offerlog_infrastructure.postgres.reads.stream_reader import PostgresStreamReader
from support.internals import application_of
from support.journeys import an_id, signal
from support.recount import rows

_ALL: Final = (1 << 40) - 1
"""Behind every position."""


def settle(service: Offerlog) -> None:
    """Let projections and tree pass all events."""
    service.catch_up()
    assert service.evidence is not None
    service.evidence.catch_up()


def record(service: Offerlog, visitor: int, action: int) -> None:
    """Record an action that is over; another one may follow."""
    service.record([signal(state, visitor=visitor, action=action) for state in ("offered", "errored")])


def test_who_loaded_before_a_move_does_not_write_an_archived_version_again(
    offerlog: Offerlog, tmp_path: Path
) -> None:
    """The key of the table does not know that version any more; the epoch, raised behind the choice, does."""
    # given an archive, a writer that has loaded, and another one that went on
    record(offerlog, 9, 1)
    record(offerlog, 1, 1)
    settle(offerlog)
    application = application_of(offerlog)
    archiver = PostgresArchiver(application, SystemClock())
    assert archiver.move_up_to(_ALL, str(tmp_path), lambda _: None).streams == 1
    offer = offerlog._service.name("default", VisitorKey("cookie", "visitor-1"), ActionMapId(an_id("map")))
    late = PostgresLog(application)
    late.epoch()
    loaded = late.load([offer])[offer.id]
    record(offerlog, 1, 2)
    record(offerlog, 2, 1)  # the last event of the log stays
    events = PostgresStreamReader(application).events(offer)
    settle(offerlog)
    # when all of that is moved
    moved = archiver.move_up_to(_ALL, None, lambda _: None)
    assert moved.events == len(events) == loaded.version + 2
    # then the first one stores nothing
    again = events[loaded.version]
    with pytest.raises(StaleEpochError):
        late.append([again], [])
    assert late.load([offer])[offer.id].version == len(events)


class _ErasingArchiver(PostgresArchiver):
    """Has a visitor erased between the file and the transaction, once."""

    def __init__(self, service: Offerlog) -> None:
        super().__init__(application_of(service), SystemClock())
        self._service = service
        self.is_erased = False

    def replace_rows(
        self,
        connection: Connection[Any],
        files: Sequence[NewFile],
        streams: Sequence[ColdStream],
        rows: Sequence[StoredRow],
    ) -> bool:
        """Erase, and go on."""
        if not self.is_erased:
            self.is_erased = True
            self._service.erase(customer_id="visitor-1")
        return super().replace_rows(connection, files, streams, rows)


def test_a_file_with_a_visitor_who_is_erased_meanwhile_is_given_up(
    offerlog: Offerlog, dsn: str, tmp_path: Path
) -> None:
    """It has sealed parts, which the receipt says are gone."""
    # given
    record(offerlog, 1, 1)
    record(offerlog, 2, 1)  # the last event of the log stays
    settle(offerlog)
    # when
    archiver = _ErasingArchiver(offerlog)
    part = archiver.move_up_to(_ALL, str(tmp_path), lambda _: None)
    # then nothing of the visitor is moved
    assert archiver.is_erased
    assert part.events == 0
    assert [*tmp_path.rglob("*.parquet")] == []
    # and the next run moves the others
    record(offerlog, 3, 1)
    settle(offerlog)
    assert archiver.move_up_to(_ALL, str(tmp_path), lambda _: None).streams == 1
    files = [*tmp_path.rglob("*.parquet")]
    assert len(files) == rows(dsn, "SELECT count(*) FROM archived_files")[0][0]
    assert rows(dsn, "SELECT * FROM archive_leftovers") == []
