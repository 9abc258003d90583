"""A disk that is really full: a separate small file system, with the embedded store on it."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import OutcomeUnknownError, StoreUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.composition import open_offerlog
from support.http_site import Site, serving
from support.internals import application_of
from support.journeys import signal
from support.recount import event_ids, until

MOUNT = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs"]


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 160 MB, at a place that the server's user may enter."""
    place = Path(tempfile.mkdtemp(prefix="offerlog-disk-"))
    mounted = subprocess.run([*MOUNT, place], capture_output=True, text=True, timeout=30, check=False)
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], timeout=30, check=True)
    place.rmdir()


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Take all the room on a disk but so many bytes; removing what is returned gives it back."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while (room := os.statvfs(disk)).f_bavail * room.f_frsize > leave:
                file.write(bytes(min(1 << 16, room.f_bavail * room.f_frsize - leave)))
        except OSError:
            assert not leave
    return ballast


def record_until_it_fails(service: Offerlog) -> tuple[list[object], StoreUnavailableError]:
    """Record batches that take room, refusals with their texts among them.

    Returns:
        The ids of the events that were acknowledged, and the error.
    """
    acknowledged: list[object] = []
    for number in range(1_000):
        batch = [signal("offered", visitor=f"{time.monotonic()}-{n}") for n in range(60)]
        try:
            service.record([*batch, *(os.urandom(2_000).hex().encode() for _ in range(500 if number else 0))])
        except StoreUnavailableError as error:
            return acknowledged, error
        except OutcomeUnknownError as error:  # the server ended in the middle of the commit
            return acknowledged, error.because or StoreUnavailableError("no reason is given")
        acknowledged += [one["eventId"] for one in batch]
    raise AssertionError("the disk is never full")


def shown(site: Site, path: str) -> tuple[int, dict[str, str]]:
    """The status of an answer that needs no key, and its document."""
    answer = httpx.get(f"{site.url}{path}", timeout=30)
    return answer.status_code, json.loads(answer.text)


@pytest.mark.time_limit(180)
def test_a_full_disk_is_said_to_be_full_and_nothing_is_lost(small_disk: Path) -> None:
    """Where a table cannot grow, and where PostgreSQL ends as its write-ahead log cannot."""
    early = [signal("offered", visitor=f"early-{n}") for n in range(60)]
    acknowledged: list[object] = [one["eventId"] for one in early]
    with (
        open_offerlog(data=small_disk / "store", keep_deadlines=False) as service,
        serving(service) as site,
        site.client() as admin,
    ):
        service.record(early)
        assert recorded_one(service)
        for leave in (0, 10 << 20):
            # given a disk that fills up
            ballast = fill(small_disk, leave=leave)
            # when signals go on to come
            recorded, error = record_until_it_fails(service)
            acknowledged += recorded
            # then the reason is given at once: to callers, over HTTP, and to who looks after the service
            assert error.trouble is StoreTrouble.DISK_FULL, error
            began = time.monotonic()
            refused = admin.post("/v1/signals", json=[signal("offered", visitor=n) for n in range(1_000)])
            assert (refused.status_code, refused.json()["type"]) == (507, "/problems/store-disk-full")
            assert refused.json()["detail"].startswith("the disk of the database is full; free space on it")
            assert refused.headers["Retry-After"] == "2"
            assert time.monotonic() - began < 10
            status, ready = shown(site, "/readyz")
            assert (status, ready["detail"]) == (507, error.summary)
            # and when there is room again, it is back within seconds, by itself
            ballast.unlink()
            back = time.monotonic()
            until(lambda: recorded_one(service), 30)
            assert time.monotonic() - back < 10
            until(lambda: shown_ok(site), 30)
        text = httpx.get(f"{site.url}/metrics", timeout=30).text
        assert 'offerlog_store_trouble{reason="disk-full"} 0.0' in text
        failures = next(line for line in text.splitlines() if 'failures_total{reason="disk-full"}' in line)
        assert float(failures.split()[-1]) >= 4
        found = event_ids(application_of(service).dsn)
    assert len(acknowledged) > 100
    assert all(found[str(one)] == 1 for one in acknowledged)


def recorded_one(service: Offerlog) -> bool:
    """Whether a signal can be recorded."""
    try:
        service.record([signal("offered", visitor=f"again-{time.monotonic()}")])
    except (StoreUnavailableError, OutcomeUnknownError):
        return False
    return True


def shown_ok(site: Site) -> bool:
    """Whether the service is ready."""
    return shown(site, "/readyz")[0] == httpx.codes.OK
