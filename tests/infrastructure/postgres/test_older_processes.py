"""Processes of an older build that still run on a store that a newer one has brought up to date."""

from uuid import uuid4

import psycopg
import pytest

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from support.recount import rows

_INSERT = """
    INSERT INTO dead_letters (view, originator_id, position, originator_version, topic, error, waiting)
    VALUES ('performance', %s, 1, 1, %s, %s, 1)
"""


@pytest.mark.parametrize(
    "look", ["SELECT check_epoch(epoch) FROM log_epoch", "SELECT look_at_epoch(epoch) FROM log_epoch"]
)
def test_they_write_nothing(dsn: str, look: str) -> None:
    """Every append of theirs looks at the epoch by a function that is an error now, and says what to do."""
    with pytest.raises(psycopg.errors.RaiseException, match=r"(?s)older offerlog.*Start the process anew"):
        rows(dsn, look)


def test_their_projectors_make_no_dead_letters_of_events_that_they_cannot_read(dsn: str) -> None:
    """They stop with an error, and do not go past the event. Other dead letters are made as before."""
    # given
    stream = uuid4()
    with pytest.raises(UnreadableEventError) as caught:
        EventMapper(events=()).event(stream, 1, "engaged.3", b"")
    error = f"UnreadableEventError: {caught.value}"
    # when, then
    with pytest.raises(psycopg.errors.RaiseException, match=r"older offerlog, which cannot read engaged\.3"):
        rows(dsn, _INSERT, stream, "engaged.3", error)
    rows(dsn, _INSERT, stream, "engaged.99", error)
    rows(dsn, _INSERT, uuid4(), "engaged.3", "UnreadableEventError: its state is not valid")
    assert rows(dsn, "SELECT count(*) FROM dead_letters") == [(2,)]
