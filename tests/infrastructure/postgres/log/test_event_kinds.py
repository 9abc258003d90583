"""The check of stored events reads a sample of each kind, and opens what is sealed in it."""

import pytest

from offerlog_application.offerlog import Offerlog
from support.journeys import journeys
from support.recount import rows

SPOIL_EVENT = """
    UPDATE offerlog_events SET state = substr(state, 1, octet_length(state) - 1) || '\\xff'::bytea
    WHERE topic = 'engaged.3' AND get_byte(state, octet_length(state) - 1) <> 255
"""


def test_events_that_can_be_read_and_opened_are_in_order(offerlog: Offerlog) -> None:
    """Of every kind that the log holds."""
    offerlog.record(journeys(40))
    assert {kind.error for kind in offerlog.stored_kinds()} == {None}


@pytest.mark.parametrize(
    ("spoil", "kind", "fault"),
    [
        (SPOIL_EVENT, "engaged.3", "cannot be opened"),
        ("DELETE FROM visitors", "engaged.3", "its visitor is not in the store"),
        ("UPDATE visitors SET wrapped_key = (SELECT min(wrapped_key) FROM visitors)", "offered.3", "opened"),
    ],
)
def test_an_event_that_cannot_be_opened_is_found(
    offerlog: Offerlog, dsn: str, spoil: str, kind: str, fault: str
) -> None:
    """A changed sealed part, a lost visitor, the key of another one: no projection would notice."""
    # given
    offerlog.record(journeys(40))
    rows(dsn, spoil)
    # when
    errors = {one.topic: one.error for one in offerlog.stored_kinds()}
    # then
    assert fault in str(errors[kind])
