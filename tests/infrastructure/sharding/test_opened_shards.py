"""The shards of a process: opened and closed side by side, whatever one of them does."""

from collections.abc import Iterator
from threading import Event
from unittest.mock import Mock

import pytest

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.shards import ShardMap
from offerlog_application.sharding.router import Shard
from offerlog_infrastructure import opened_shards
from offerlog_infrastructure.opened_shards import OpenedShards


@pytest.fixture
def goes_on() -> Iterator[Event]:
    """Ends what hangs; set at the end of the test at the latest."""
    event = Event()
    yield event
    event.set()


def _shard(number: int) -> Shard:
    shard: Shard = Mock(number=number)
    return shard


def _directory() -> Mock:
    """A home with the slices 0 to 7, and the shards 1 and 2 with the others."""
    directory = Mock()
    directory.read_map.return_value = ShardMap([0] * 8 + [1] * 4 + [2] * 4, [1] * 16)
    directory.addresses.return_value = {1: "one", 2: "two"}
    return directory


def test_a_shard_that_hangs_does_not_keep_the_others_from_closing(
    goes_on: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is given up in the end."""
    monkeypatch.setattr(opened_shards, "_CLOSING_SECONDS", 0.2)
    made = {number: _shard(number) for number in (1, 2)}
    closed = [Event(), Event()]
    home = _shard(0)
    for shard, event in ((home, closed[0]), (made[2], closed[1])):
        monkeypatch.setattr(shard.service, "close", event.set)
    monkeypatch.setattr(made[1].service, "close", lambda: goes_on.wait(60))
    shards = OpenedShards(home, _directory(), lambda number, _: made[number])
    shards.begin()
    shards.await_first_attempts()
    assert [shards.get(number) for number in (0, 1, 2)] == [home, made[1], made[2]]
    # when
    shards.close()
    # then
    assert all(one.wait(60) for one in closed)
    assert not goes_on.is_set()


def test_a_shard_that_is_opened_after_the_end_is_closed(
    goes_on: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pools and threads would stay for ever otherwise."""
    made, closed = _shard(1), Event()
    monkeypatch.setattr(made.service, "close", closed.set)

    def open_shard(number: int, _: str) -> Shard:
        if number == 1:
            goes_on.wait(60)
        return made if number == 1 else _shard(number)

    shards = OpenedShards(_shard(0), _directory(), open_shard)
    shards.begin()
    # when
    shards.close()
    goes_on.set()
    # then
    assert closed.wait(60)


def test_who_needs_a_shard_that_hangs_waits_for_it_once(
    goes_on: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And who needs another one does not."""
    monkeypatch.setattr(opened_shards, "_FIRST_SECONDS", 0.1)

    def open_shard(number: int, _: str) -> Shard:
        if number == 1:
            goes_on.wait(60)
        return _shard(number)

    shards = OpenedShards(_shard(0), _directory(), open_shard)
    shards.begin()
    monkeypatch.setattr(opened_shards, "_FIRST_SECONDS", 60.0)
    assert shards.get(2).number == 2
    monkeypatch.setattr(opened_shards, "_FIRST_SECONDS", 0.1)
    with pytest.raises(StoreUnavailableError, match="has not answered"):
        shards.get(1)
    shards.close()
