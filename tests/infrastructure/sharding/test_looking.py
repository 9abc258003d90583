"""A look at several servers: each is shown, and one that hangs or is away holds up nothing."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import pytest

from offerlog import ShardError
from offerlog_application.status.checks import CheckResult, run_checks
from offerlog_application.status.levels import Assessment, Level
from offerlog_application.status.observation import Observation
from offerlog_infrastructure.observing.look import observe
from offerlog_infrastructure.observing.store_reading import WatchedStore
from offerlog_infrastructure.presentation.status_documents import describe_observations
from offerlog_infrastructure.server_address import STORE_SCHEMA
from offerlog_infrastructure.settings import StoreSettings, read_store_settings
from support.installations import Stores, make_stores
from support.journeys import signal
from support.recount import rows

_PATIENCE = "offerlog_infrastructure.observing.look._FIRST_ANSWER_SECONDS"


@pytest.fixture(scope="module")
def stores(make_module_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 7, and two shards with the others; the first is behind a proxy."""
    with make_stores(make_module_dsn, "8-b", "c-f") as stores:
        with stores.open() as service:
            service.webhooks.create("https://example.com/hook")
            service.record([signal("offered", visitor=n) for n in range(40)])
            service.catch_up()
        yield stores


def _look(stores: Stores, home: int = 0) -> list[Observation]:
    settings: StoreSettings = read_store_settings()
    store = WatchedStore("the home", None, stores.dsns[home], STORE_SCHEMA, settings.keyring)
    return [*observe(store, settings, datetime.now(UTC))]


def _assess(seen: Observation) -> Mapping[str, Assessment]:
    return dict(run_checks(seen))


def _described(looks: list[Observation]) -> dict[str, object]:
    results: list[tuple[Observation, list[CheckResult]]] = [(one, [*run_checks(one)]) for one in looks]
    found: dict[str, object] = json.loads(json.dumps(describe_observations(results)))
    return found


def test_each_server_is_seen_as_the_only_one_would_be(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the figures of its store; what they have in common is with the home."""
    monkeypatch.setattr(_PATIENCE, 60.0)
    looks = _look(stores)
    assert [one.shard and one.shard.number for one in looks] == [0, 1, 2]
    assert all(one.trouble is None for one in looks)
    for number, one in enumerate(looks):
        checks = _assess(one)
        assert checks["store"].level is checks["lag"].level is checks["keyring"].level is Level.WELL
        assert one.figures is not None
        assert one.figures.position >> 40 == number
        assert ("services" in checks) is (number == 0)
    # and the webhooks, which are at the home, lack the events of all logs
    assert looks[0].figures is not None
    (webhook,) = looks[0].figures.webhooks
    with stores.open(project=False) as service:
        (listed,) = service.webhooks.all()
    assert webhook.lag_events == listed.lag_events >= 40
    document = _described(looks)
    assert document["level"] == "well"
    shards = document["shards"]
    assert isinstance(shards, list)
    assert [(one["shard"], one["slices"], one["owned"]) for one in shards] == [
        (0, "0-7", "0-7"),
        (1, "8-b", "8-b"),
        (2, "c-f", "c-f"),
    ]
    assert "figures" not in document  # those of the home would look like those of all
    with pytest.raises(ShardError, match="look at the home"):
        _look(stores, home=2)


def test_a_server_that_is_away_or_hangs_is_named_and_holds_up_nothing(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are seen."""
    stores.proxy.go_away()
    try:
        home, away, other = _look(stores)
    finally:
        stores.proxy.come_back()
    assert away.trouble is not None
    assert _assess(away)["store"].level is Level.BROKEN
    assert home.trouble is None
    assert _assess(home)["webhooks"].saw.endswith("a server cannot be read")
    # and one that takes connections, and never answers
    stores.proxy.swallow()
    began = time.monotonic()
    try:
        home, hanging, other = _look(stores)
    finally:
        stores.proxy.pass_on()
    assert time.monotonic() - began < 30  # for ever, if anything waited for it
    assert hanging.trouble is not None
    assert "does not answer in time" in hanging.trouble
    assert (home.trouble, hanging.figures) == (None, None)
    assert _described([home, hanging, other])["level"] == "broken"
    # and one whose slices are not those of the directory, and one that is another store
    monkeypatch.setattr(_PATIENCE, 60.0)
    rows(stores.dsns[2], "UPDATE slices SET is_owned = false WHERE slice = 12")
    rows(stores.dsns[1], "UPDATE shard SET number = 7")
    try:
        _, exchanged, less = _look(stores)
    finally:
        rows(stores.dsns[2], "UPDATE slices SET is_owned = true WHERE slice = 12")
        rows(stores.dsns[1], "UPDATE shard SET number = 1")
    assert _assess(less)["store"].saw == "it owns the slices d-f, and the directory gives it c-f"
    assert _assess(less)["store"].level is Level.ATTENTION
    assert exchanged.trouble is not None
    assert "is not shard 1" in exchanged.trouble
