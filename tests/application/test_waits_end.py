"""A wait for the projections ends with its service, whichever thread waits."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from offerlog import ClosedError, Offerlog, ProjectionsBehindError
from offerlog.testing import open_in_memory
from offerlog_application.projections.awaiting import PositionWaits
from offerlog_application.recording import deadline_worker

NEVER = 1_000_000
"""A position that no log of these tests reaches."""

SECONDS = 20.0
"""The time limit of a wait here; one that `close` does not end lasts as long."""


def waits_of(service: Offerlog) -> PositionWaits:
    """The waits of a service."""
    assert isinstance(service._waits, PositionWaits)
    return service._waits


def in_thread(wait: Callable[[], object]) -> Future[object]:
    """Call it in a thread that nobody joins; the future gets its error."""
    ended: Future[object] = Future()

    def run() -> None:
        try:
            ended.set_result(wait())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            ended.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return ended


def test_close_ends_a_wait_in_a_thread() -> None:
    """With `ClosedError`, however long its caller would wait."""
    # given a thread that waits for a position that is never shown
    service = open_in_memory()
    waits = threading.Event()
    look = waits_of(service)._shown

    def shown() -> int:
        waits.set()
        return look()

    waits_of(service)._shown = shown
    wait = in_thread(lambda: service.wait(NEVER, SECONDS))
    assert waits.wait(10)
    # when
    service.close()
    # then
    with pytest.raises(ClosedError):
        wait.result(SECONDS / 2)


def test_a_wait_that_begins_after_close_ends_at_once() -> None:
    """And one for a position that is shown succeeds before it."""
    service = open_in_memory()
    service.wait(0)
    service.close()
    with pytest.raises(ClosedError):
        service.wait(NEVER, SECONDS)


def test_close_does_not_wait_for_the_wait_of_a_keeper(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The keeper of the deadlines waits until the projections show what it ended; closing is no fault."""
    # given a keeper that waits for projections that stand still
    monkeypatch.setattr(deadline_worker, "_EXPIRY_SECONDS", 0.0)
    service = open_in_memory()
    waits = threading.Event()

    def expire(wait: Callable[[int, float], None], **_: object) -> None:
        waits.set()
        wait(NEVER, SECONDS)

    monkeypatch.setattr(service._expiry, "expire", expire)
    service.keep_deadlines()
    assert waits.wait(10)
    # when
    with caplog.at_level(logging.WARNING):
        closing = in_thread(service.close)
        # then
        closing.result(SECONDS / 2)
    assert not caplog.records


def test_a_wait_without_progress_fails_as_before() -> None:
    """The time limit of the caller."""
    with open_in_memory() as service, pytest.raises(ProjectionsBehindError):
        service.wait(NEVER, 0.05)
