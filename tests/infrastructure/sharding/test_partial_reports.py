"""A report of the servers that can be reached, for whoever asks for it: it names what is missing."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from offerlog import Offerlog, ReportQuery, ShardUnavailableError
from offerlog_domain.metrics import Granularity
from support.http_site import serving
from support.installations import Stores, make_stores, move_slice, shard_of
from support.journeys import signal
from support.recount import until

_VISITORS: Final = 60
_QUERY: Final = ReportQuery("default", by=Granularity.DAY)
_REPORT: Final = "/v1/reports/action-map-performance"


@pytest.fixture(scope="module")
def stores(make_module_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 5, and shards with 6 to a and b to f; the first is behind a proxy."""
    with make_stores(make_module_dsn, "6-a", "b-f") as stores:
        with stores.open() as service:
            service.record([signal("offered", visitor=n) for n in range(_VISITORS)])
            service.catch_up()
        yield stores


def _offered(service: Offerlog, *, partial: bool) -> tuple[int, list[int]]:
    made = service.report(_QUERY, partial=partial)
    return sum(row.metrics["nWebActionsOffered"] for row in made.rows), [*made.missing_slices]


def _is_whole(service: Offerlog) -> bool:
    return _offered(service, partial=True) == (_VISITORS, [])


def test_what_is_missing_is_named_and_only_whoever_asks_gets_a_part(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all servers, a partial report is the whole one; a slice that has moved counts where it is."""
    monkeypatch.setattr("offerlog_application.recording.store_watch.ATTEMPTS", 1)
    with stores.open() as service, serving(service) as site, site.client() as client:
        assert service.report(_QUERY, partial=True) == service.report(_QUERY)
        assert _is_whole(service)
        assert "missing_slices" not in client.get(_REPORT, params={"partial": "true"}).json()
        move_slice(stores, 6, 2)
        service.report(_QUERY)  # by a map read anew
        here = sum(shard_of(service, n) != 1 for n in range(_VISITORS))
        assert 0 < here < _VISITORS
        # when
        stores.proxy.go_away()
        try:
            # then
            with pytest.raises(ShardUnavailableError):
                service.report(_QUERY)
            service.catch_up(partial=True)
            assert _offered(service, partial=True) == (here, [7, 8, 9, 10])
            assert client.get(_REPORT).status_code == 503
            answer = client.get(_REPORT, params={"partial": "true"})
            assert (answer.status_code, answer.json()["missing_slices"]) == (200, "7-a")
            assert "etag" not in answer.headers
            assert answer.headers["cache-control"] == "no-store"
            (row,) = answer.json()["rows"]
            assert row["metrics"]["nWebActionsOffered"] == here
            # and a file, which has no place for what is missing, stays an error, and a proof stands for all
            assert client.get(_REPORT, params={"partial": "true", "format": "csv"}).status_code == 503
            assert client.get(_REPORT, params={"partial": "true", "proof": "true"}).status_code == 503
        finally:
            stores.proxy.come_back()
        until(lambda: _is_whole(service), 60)
