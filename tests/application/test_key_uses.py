"""The thread that stores when keys were used."""

from datetime import UTC, datetime

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.memory.service import open_in_memory
from offerlog_infrastructure.testing.clock import SettableClock


def test_what_was_used_before_the_end_is_stored() -> None:
    """An open service that keeps deadlines stores it within a minute, and at its end at the latest."""
    # given
    now = datetime(2026, 3, 2, 10, tzinfo=UTC)
    service = open_in_memory(clock=SettableClock(now))
    _, text = service.keys.create("default", Role.REPORTER, "")
    # when
    service.keep_deadlines()
    assert service.keys.find(text) is not None
    service.close()
    # then
    assert [one.last_used_at for one in service.keys.all("default")] == [now]
