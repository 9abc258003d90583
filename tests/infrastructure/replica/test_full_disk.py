"""A local suppression list on a disk that is really full."""

import time

import pytest

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.replica.store import ReplicaFolderError
from support.journeys import signal
from support.small_disks import small_disk

AT_ONCE = 30.0
"""Far less than the five minutes for which a first copy is waited for, and enough for a busy machine."""


@pytest.mark.parametrize("size", ["8k", "64k"])
def test_a_disk_without_room_for_the_list_is_said_at_once(dsn: str, size: str) -> None:
    """Neither for the file itself, nor for what is to be copied into it; the error says so, and where."""
    signals = [signal(state, visitor=n) for n in range(1_000) for state in ("offered", "rejected")]
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service, small_disk(size) as disk:
        service.wait(service.record(signals).position)
        began = time.monotonic()
        with pytest.raises(ReplicaFolderError) as raised:
            open_offerlog(database_url=dsn, keep_deadlines=False, project=False, replica=disk / "lists")
        assert time.monotonic() - began < AT_ONCE
    assert f"cannot be kept in {disk / 'lists'}" in str(raised.value)
    assert "is full: make room there" in str(raised.value)
