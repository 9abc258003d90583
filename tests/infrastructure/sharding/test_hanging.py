"""A server of several that hangs: it takes every byte and answers nothing, and everyone else is served."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import httpx
import pytest

from offerlog import ReportQuery, ShardUnavailableError
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres import keys, liveness
from support.http_site import Site, serving
from support.installations import Stores, make_stores, shard_of
from support.journeys import an_id, signal
from support.proxy import Proxy
from support.recount import until

_VISITORS: Final = 30
_REPORT: Final = "/v1/reports/action-map-performance"


@pytest.fixture(autouse=True)
def _soon_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(keys, "_REMEMBERED_SECONDS", 0.1)


@pytest.fixture
def stores(make_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 7, and a shard with the others behind a proxy."""
    with make_stores(make_dsn, "8-f") as stores:
        yield stores


@contextmanager
def _served(dsn: str) -> Iterator[Site]:
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False) as service,
        serving(service) as site,
    ):
        yield site


def _visitors(site: Site) -> tuple[int, int]:
    """A visitor of the home, and one of the shard."""
    home, shard = (
        next(n for n in range(_VISITORS) if shard_of(site.service, n) == number) for number in (0, 1)
    )
    return home, shard


def _ask_all(client: httpx.Client, visitor: int) -> set[int]:
    """The statuses of one question of each kind about a visitor."""
    who = {"customer_id": f"visitor-{visitor}"}
    of_map = who | {"action_map_id": an_id("map")}
    answers = [
        client.post("/v1/signals", json=signal("offered", visitor=visitor)),
        client.get("/v1/suppressions", params=who),
        client.get("/v1/eligibility", params=of_map),
        client.get("/v1/history", params=of_map),
        client.get("/v1/timeline", params=who),
    ]
    return {one.status_code for one in answers}


def test_a_shard_that_hangs_is_named_and_its_visitors_are_told(stores: Stores) -> None:
    """Nobody else waits; the service closes, and what was acknowledged is there afterwards."""
    with _served(stores.dsns[0]) as site, site.client() as client:
        home, shard = _visitors(site)
        assert _ask_all(client, home) == _ask_all(client, shard) == {200}
        # when
        stores.proxy.swallow()
        # then
        assert _ask_all(client, shard) == {503}
        assert _ask_all(client, home) == {200}
        refused = client.get(_REPORT)
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
        assert "shard 1 (slices: 8-f)" in refused.json()["detail"]
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["lag_seconds"]) == (200, 0.0)
        assert "shard 1 (slices: 8-f)" in ready.json()["waits_for"]
        metrics = client.get("/metrics").text
        assert 'offerlog_shard_answers{shard="0"} 1.0' in metrics
        assert 'offerlog_shard_answers{shard="1"} 0.0' in metrics
        assert 'offerlog_projection_lag_events{projection="performance@0"} 0.0' in metrics
        assert client.get("/v1/projections").status_code == 503
    # and the service has been closed
    stores.proxy.pass_on()
    with stores.open() as service:
        service.catch_up()
        (row,) = service.report(ReportQuery("default")).rows
        assert row.metrics["nWebActionsOffered"] == 2


def test_a_shard_that_answers_again_is_served_again(stores: Stores) -> None:
    """By the same process."""
    with stores.open() as service:
        shard = next(n for n in range(_VISITORS) if shard_of(service, n) == 1)
        stores.proxy.swallow()
        with pytest.raises(ShardUnavailableError):
            service.suppressions(f"visitor-{shard}")
        until(lambda: not _is_open(service), 60)
        # when
        stores.proxy.pass_on()
        # then
        until(lambda: _is_open(service), 60)
        assert service.record([signal("offered", visitor=shard)]).position is not None
        service.catch_up()


def _is_open(service: ShardedOfferlog) -> bool:
    try:
        service._router.get(1)
    except ShardUnavailableError:
        return False
    return True


def test_while_the_home_hangs_keys_stay_valid_and_other_visitors_are_served(stores: Stores) -> None:
    """And a key that was revoked meanwhile is refused once the home answers."""
    with Proxy(stores.dsns[0]) as proxy, _served(proxy.dsn) as site, site.client() as client:
        home, shard = _visitors(site)
        assert _ask_all(client, home) == _ask_all(client, shard) == {200}
        # when
        proxy.swallow()
        # then
        assert _ask_all(client, shard) == {200}
        assert _ask_all(client, home) == {503}
        unknown = {"Authorization": "Bearer ofl_admin_0123456789ab_nobody"}
        assert client.get("/v1/suppressions?customer_id=x", headers=unknown).status_code == 503
        ready = client.get("/readyz")
        assert (ready.status_code, "shard 0 (slices: 0-7)" in ready.json()["waits_for"]) == (200, True)
        # and with a key that was revoked meanwhile
        with stores.open() as elsewhere:
            (key,) = elsewhere.keys.all("default")
            elsewhere.keys.revoke("default", key.id)
        assert client.get(f"/v1/suppressions?customer_id=visitor-{shard}").status_code == 200
        proxy.pass_on()
        asked = f"/v1/suppressions?customer_id=visitor-{shard}"
        until(lambda: client.get(asked).status_code == 401, 60)


def test_refusals_are_not_asked_for_before_they_are_wanted(stores: Stores) -> None:
    """The event loop makes the list, and a thread reads it."""
    with stores.open() as service:
        shard = next(n for n in range(_VISITORS) if shard_of(service, n) == 1)
        stores.proxy.go_away()
        # when
        found = service.refusals(customer_id=f"visitor-{shard}")
        # then
        with pytest.raises(ShardUnavailableError):
            next(found)
