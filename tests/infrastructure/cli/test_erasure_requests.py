"""Requests for erasure that cannot be carried out, in a file or alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.erasure import NoSuchVisitorError
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.cli import option_groups, privacy
from offerlog_infrastructure.cli.erasure_requests import erase_file
from offerlog_infrastructure.memory.service import open_in_memory
from support.journeys import journeys

REJECTED, OTHER, WAITING = "visitor-1", "visitor-3", "visitor-5"


@pytest.fixture
def service() -> Iterator[Offerlog]:
    """A service with some visitors."""
    with open_in_memory() as service:
        service.record(journeys(7))
        yield service


def test_a_line_that_fails_does_not_end_the_run(
    service: Offerlog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A locked row is such a case. A store that cannot be reached ends the run, and an error says where."""
    # given
    requests = tmp_path / "requests.txt"
    requests.write_text(f"{OTHER}\n{REJECTED}\n{WAITING}\n")
    erase, troubles = service.erase, [StoreTrouble.LOCKED, StoreTrouble.UNREACHABLE]

    def fail(*, customer_id: str, **named: Any) -> Any:
        if customer_id == REJECTED:
            raise StoreUnavailableError("the row cannot be had", troubles.pop(0))
        return erase(customer_id=customer_id, **named)

    monkeypatch.setattr(service, "erase", fail)
    # when
    failed = erase_file(service, requests, "cookie")
    # then
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["result"] for one in answers] == ["erased", "failed", "erased"]
    assert failed == 1
    assert answers[1]["error"]
    # and when the store is gone
    with pytest.raises(StoreUnavailableError):
        erase_file(service, requests, "cookie")
    printed = capsys.readouterr()
    assert [json.loads(line)["line"] for line in printed.out.splitlines()] == [1]
    assert "line 1 was the last that was answered" in printed.err


def test_remains_are_removed_although_nothing_is_held_any_more(
    service: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The visitor may have been erased before, by a call that did not remove them."""
    # given
    removed: list[bool] = []
    monkeypatch.setattr(service, "remove_remains", lambda *, rewrite: removed.append(rewrite))

    @contextmanager
    def opened(*_: object, **__: object) -> Iterator[Offerlog]:
        yield service

    monkeypatch.setattr(option_groups, "open_service", opened)
    # when
    with pytest.raises(NoSuchVisitorError):
        privacy.erase(customer="nobody", rewrite=True)
    # then
    assert removed == [True]
