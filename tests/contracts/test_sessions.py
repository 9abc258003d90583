"""Sessions of the dashboard in memory and on PostgreSQL pass the same tests."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from offerlog import Offerlog, Role, open_offerlog
from offerlog.testing import SettableClock, open_in_memory


@pytest.fixture
def clock() -> SettableClock:
    """The clock of the service."""
    return SettableClock()


@pytest.fixture(params=["in memory", "on PostgreSQL"])
def service(
    request: pytest.FixtureRequest, module_dsn: str, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Offerlog]:
    """An open service that asks the store for every session."""
    monkeypatch.setattr("offerlog_infrastructure.postgres.sessions._REMEMBERED_SECONDS", 0.0)
    if request.param == "in memory":
        opened = open_in_memory(clock=clock)
    else:
        opened = open_offerlog(database_url=module_dsn, clock=clock, keep_deadlines=False)
    with opened as service:
        yield service


def test_a_session_ends_by_its_log_out_its_key_and_time(service: Offerlog, clock: SettableClock) -> None:
    """A use is stored some minutes after the one before, and the session goes on."""
    # given
    sessions, keys = service.sessions, service.keys
    key, _ = keys.create("default", Role.REPORTER, "", expires_at=clock.now() + timedelta(hours=20))
    revoked, _ = keys.create("default", Role.REPORTER, "")
    used, idle, closed, of_revoked = (sessions.open(one) for one in (key, key, key, revoked))

    def is_open(text: str) -> bool:
        return sessions.find(text) is not None

    assert [sessions.find(one) for one in (used, of_revoked)] == [key, revoked]
    # when
    sessions.close(closed)
    sessions.close("made up")
    keys.revoke("default", revoked.id)
    # then
    assert not any(map(is_open, (closed, of_revoked, "made up")))
    assert sessions.is_unknown(closed)
    assert not sessions.is_unknown(idle)
    # when
    for _ in range(11):
        clock.advance(timedelta(hours=1))
        assert is_open(used)
        sessions.record_uses()
    # then
    assert not is_open(idle)
    clock.advance(timedelta(hours=1))
    assert not is_open(used)
    # when
    late = sessions.open(key)
    clock.advance(timedelta(hours=2))
    # then
    assert is_open(late)
    clock.advance(timedelta(hours=6))
    assert not is_open(late)


def test_a_key_has_at_most_twenty_sessions(service: Offerlog, clock: SettableClock) -> None:
    """The oldest one ends, of no other key."""
    keys = [service.keys.create("default", Role.REPORTER, "")[0] for _ in range(2)]
    others = service.sessions.open(keys[1])
    opened = []
    for _ in range(21):
        clock.advance(timedelta(milliseconds=1))
        opened.append(service.sessions.open(keys[0]))
    assert [service.sessions.find(one) for one in opened] == [None, *[keys[0]] * 20]
    assert service.sessions.find(others) == keys[1]
