"""A disk that fails under the store: nothing acknowledged is lost, and it works again when the disk does."""

import json
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from offerlog_infrastructure.embedded.errors import ServerNotStartedError
from support.failing_disk import CompilerMissingError, DiskError, FailingDisk
from support.journeys import signal
from support.processes import finish
from support.recount import event_ids, recounted, rows, shown, until


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    """A disk in a folder that the server's user can reach."""
    run = Path(os.environ["OFFERLOG_TEST_FOLDER"])
    run.chmod(0o755)
    folder = Path(tempfile.mkdtemp(prefix="disk-", dir=run))
    folder.chmod(0o755)
    try:
        failing = FailingDisk(folder)
    except CompilerMissingError as error:
        pytest.skip(str(error))
    with failing.used():
        yield failing


@contextmanager
def recording(service: Offerlog) -> Iterator[list[str]]:
    """Three clients, each of which records one offer after the other; yields the acknowledged event ids.

    A client whose call failed sends the same signal again, as the docs tell it to.
    """
    acknowledged: list[str] = []
    stopped = threading.Event()

    def client(name: str) -> None:
        number = 0
        while not stopped.is_set():
            offer = signal("offered", visitor=f"{name}-{number}")
            try:
                outcome = service.record([json.dumps(offer).encode()]).outcomes[0]
            except StoreUnavailableError:
                continue
            assert outcome.kind.value in {"recorded", "duplicate"}
            acknowledged.append(str(offer["eventId"]))
            number += 1

    clients = [threading.Thread(target=client, args=(name,)) for name in "abc"]
    for one in clients:
        one.start()
    try:
        yield acknowledged
    finally:
        stopped.set()
        finish(*clients, seconds=150)


def test_failing_fsync_loses_no_acknowledged_event_and_recording_goes_on_after_it(
    disk: FailingDisk, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL ends at a failed fsync by design. Guard and clients restart it, and log the reason."""
    folder = disk.folder / "store"
    with open_offerlog(data=folder, keep_deadlines=False) as service:
        store = EmbeddedServer.acquire(folder)
        with store, recording(service) as acknowledged:
            until(lambda: len(acknowledged) > 20)
            # when it fails until the server has tried to start again, and has failed at that too
            with caplog.at_level(logging.WARNING), disk.failing(DiskError.SYNC):
                until(
                    lambda: (
                        f"cannot be started again yet: PostgreSQL did not start on {folder}" in caplog.text
                    )
                )
                # then whoever comes meanwhile learns the reason, and at once
                with pytest.raises(ServerNotStartedError, match="Input/output error"):
                    EmbeddedServer.acquire(folder)
            before = len(acknowledged)
            until(lambda: len(acknowledged) > before + 20)
        # then all is there once, and the projections show the log
        recorded = event_ids(store.dsn)
        assert set(recorded.values()) == {1}
        assert set(acknowledged) <= set(recorded)
        service.wait(rows(store.dsn, "SELECT max(notification_id) FROM offerlog_events")[0][0])
        assert shown(service, store.dsn) == recounted(store.dsn)
