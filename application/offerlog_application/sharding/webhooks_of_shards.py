"""The webhooks of an installation: all of them are on the home, and get the events of all shards."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from offerlog_application.ports.positions import SHARD_BITS, by_shard
from offerlog_application.ports.shards import HOME, ShardUnavailableError
from offerlog_application.ports.webhooks import WebhookLag
from offerlog_application.sharding.refused_port import RefusedPort
from offerlog_application.sharding.router import Router
from offerlog_application.sharding.side_by_side import ask_side_by_side

_LAG_SECONDS: Final = 5.0
"""Seconds to wait for the lags: whoever looks at webhooks wants to see them, also while a server hangs."""

_Lag = tuple[int, float | None]


class WebhooksOfShards:
    """The application's `WebhookStore` over several shards: that of the home, and the lags of all logs.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._home = router.home.store.webhooks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._home, name)

    def all(self, organization: str | None = None) -> Sequence[WebhookLag]:
        """List the endpoints of one organization, or of all, in the order of their making.

        The lag of a shard that does not answer is missing: see `WebhookLag`.
        """
        listed = self._home.all(organization)
        if not listed:
            return listed
        cursors = [by_shard(one.endpoint.position) for one in listed]

        def measure(shard: int, webhooks: Any) -> Sequence[_Lag]:
            if shard == HOME:
                return [(one.lag_events, one.lag_seconds) for one in listed]
            found: Sequence[_Lag] = webhooks.measure_lags(
                [cursor.get(shard, shard << SHARD_BITS) for cursor in cursors]
            )
            return found

        lags = ask_side_by_side(
            self._router, lambda one: measure(one.number, one.store.webhooks), _LAG_SECONDS
        )
        return [WebhookLag(one.endpoint, *_add_up(lags, n)) for n, one in enumerate(listed)]


def _add_up(lags: Mapping[int, Sequence[_Lag] | ShardUnavailableError], number: int) -> _Lag:
    """Return the lag of one endpoint over all logs."""
    known = [one[number] for one in lags.values() if not isinstance(one, ShardUnavailableError)]
    ages = [seconds for _, seconds in known if seconds is not None]
    is_whole = len(ages) == len(lags)
    return sum(events for events, _ in known), max(ages) if is_whole else None


class SentByAllTogether(RefusedPort):
    """The application's `WebhookStore` for the service over one shard, which sends to no webhook itself."""

    def __init__(self) -> None:
        super().__init__("to send webhooks from one server alone")

    def is_any_enabled(self) -> bool:
        """Return False: the service over all shards sends."""
        return False

    def prune(self, before: datetime) -> int:
        """Delete nothing: the service over all shards does."""
        del before
        return 0
