"""A shard that is down: its visitors get a clear error, and everyone else goes on."""

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest

from offerlog import (
    Offerlog,
    OutcomeUnknownError,
    PartlyRecordedError,
    ReportQuery,
    ShardUnavailableError,
    VisitorKey,
)
from offerlog_domain.identity import ActionMapId
from support.installations import Stores, make_stores, shard_of
from support.journeys import an_id, signal
from support.recount import rows, until

_VISITORS: Final = 40


@pytest.fixture
def stores(make_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 7, and a shard with the others behind a proxy."""
    with make_stores(make_dsn, "8-f") as stores:
        yield stores


def _visitors(service: Offerlog, shard: int) -> list[int]:
    found = [n for n in range(_VISITORS) if shard_of(service, n) == shard]
    assert found
    return found


def _is_recorded(service: Offerlog, visitor: int) -> bool:
    try:
        return service.record([signal("offered", visitor=visitor)]).position is not None
    except ShardUnavailableError:
        return False


def test_the_visitors_of_a_shard_that_is_down_get_an_error_and_everyone_else_goes_on(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is acknowledged is in the logs, once, when it has come back."""
    monkeypatch.setattr("offerlog_application.recording.store_watch.ATTEMPTS", 1)
    with stores.open() as service:
        up, down = _visitors(service, 0), _visitors(service, 1)
        service.wait(service.record([signal("offered", visitor=n) for n in (up[0], down[0])]).position)
        before = service.report(ReportQuery("default"))
        # when
        stores.proxy.go_away()
        # then its visitors get an error that names it
        with pytest.raises(ShardUnavailableError, match=r"shard 1 \(slices: 8-f\)"):
            service.record([signal("offered", visitor=down[1])])
        with pytest.raises(ShardUnavailableError):
            service.suppressions(f"visitor-{down[0]}")
        with pytest.raises(ShardUnavailableError):
            service.eligibility(customer_id=f"visitor-{down[0]}", action_map_id=an_id("map"))
        # and so does whatever would lack its slices
        with pytest.raises(ShardUnavailableError) as missing:
            service.report(ReportQuery("default"))
        assert missing.value.slices == [*range(8, 16)]
        with pytest.raises(ShardUnavailableError):
            list(service.suppressed_visitors(an_id("map")))
        # and everyone else goes on
        for n in up[1:]:
            assert _is_recorded(service, n)
        assert service.suppressions(f"visitor-{up[0]}") == []
        assert service.writer_health().trouble is None
        # and so do pages, whose signals may not bring up many new maps
        a_map, another = ActionMapId(an_id("map")), ActionMapId(an_id("another map"))
        assert service.changes.known_maps("default", [a_map]) == {a_map}
        with pytest.raises(ShardUnavailableError):
            service.changes.known_maps("default", [a_map, another])
        # and a batch of both says that a part is recorded
        with pytest.raises(PartlyRecordedError, match="shard 1"):
            service.record([signal("rejected", visitor=n) for n in (down[0], up[0])])
        assert service.history(customer_id=f"visitor-{up[0]}", action_map_id=an_id("map")).version == 2
        # and when it has come back
        stores.proxy.come_back()
        lines = [signal("offered", visitor=n) for n in range(_VISITORS)]
        until(lambda: _is_recorded(service, down[1]), 60)
        receipt = service.record([*lines, *(signal("rejected", visitor=n) for n in (down[0], up[0]))])
        service.wait(receipt.position)
        (row,) = service.report(ReportQuery("default")).rows
        assert row.metrics["nWebActionsOffered"] == _VISITORS
        assert row.metrics["nWebActionsRejected"] == 2
        assert before.rows[0].metrics["nWebActionsOffered"] == 2
        for address in stores.dsns:
            assert rows(
                address,
                "SELECT count(*) = count(DISTINCT originator_id) FROM offerlog_events"
                " WHERE topic LIKE 'offered%%' AND 1 = %s",
                1,
            ) == [(True,)]


def test_a_service_starts_without_a_shard_and_finds_it_later(stores: Stores) -> None:
    """The others are served meanwhile."""
    stores.proxy.go_away()
    with stores.open() as service:
        up, down = _visitors(service, 0), _visitors(service, 1)
        assert _is_recorded(service, up[0])
        with pytest.raises(ShardUnavailableError):
            service.record([json.dumps(signal("offered", visitor=down[0]))])
        with pytest.raises(ShardUnavailableError):
            service.suppressions_of([VisitorKey("cookie", f"visitor-{n}") for n in (up[0], down[0])])
        with pytest.raises(ShardUnavailableError):
            service.catch_up()
        stores.proxy.come_back()
        until(lambda: _is_recorded(service, down[0]), 60)
        service.catch_up()


def test_what_is_acknowledged_is_in_one_log_once_however_often_a_connection_is_cut(stores: Stores) -> None:
    """Batches of visitors of both shards; those that fail are sent again, as their callers would do."""
    numbers, over = iter(range(100_000)), threading.Event()
    acknowledged: list[str] = []

    def write(service: Offerlog) -> None:
        while not over.is_set():
            lines = [signal("offered", visitor=f"w{next(numbers)}") for _ in range(20)]
            until(partial(_record, service, lines), 60)
            acknowledged.extend(str(line["actionId"]) for line in lines)

    def is_further(than: int) -> bool:
        return len(acknowledged) > than

    with stores.open() as service:
        threads = [threading.Thread(target=write, args=(service,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(12):
                until(partial(is_further, len(acknowledged) + 60), 60)
                stores.proxy.cut()
        finally:
            over.set()
            for thread in threads:
                thread.join(90)
        service.catch_up()
        (row,) = service.report(ReportQuery("default")).rows
        assert row.metrics["nWebActionsOffered"] == len(acknowledged) == len(set(acknowledged))
        stored = [
            rows(one, "SELECT count(*) FROM offerlog_events WHERE topic LIKE 'offered%'")
            for one in stores.dsns
        ]
        assert sum(count for ((count,),) in stored) == len(acknowledged)
        assert all(count for ((count,),) in stored)


def _record(service: Offerlog, lines: list[dict[str, object]]) -> bool:
    try:
        outcomes = service.record(lines).outcomes
    except (ShardUnavailableError, PartlyRecordedError, OutcomeUnknownError):
        return False
    assert {one.kind.value for one in outcomes} <= {"recorded", "duplicate"}
    return True
