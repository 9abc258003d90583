"""The webhooks of an installation: all of them are on the home, and get the events of all shards."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from offerlog_application.ports.shards import HOME, ShardUnavailableError
from offerlog_application.ports.webhooks import WebhookLag
from offerlog_application.sharding.refused_port import RefusedPort
from offerlog_application.sharding.router import Router, Shard
from offerlog_application.sharding.side_by_side import ask_side_by_side
from offerlog_application.webhooks.lags import LagInLog, add_lags, positions_in_log

_LAG_SECONDS: Final = 5.0
"""Seconds to wait for the lags: whoever looks at webhooks wants to see them, also while a server hangs."""


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

        def measure(shard: Shard) -> Sequence[LagInLog]:
            if shard.number == HOME:
                return ()
            store: Any = shard.store.webhooks
            found: Sequence[LagInLog] = store.measure_lags(positions_in_log(listed, shard.number))
            return found

        lags = ask_side_by_side(self._router, measure, _LAG_SECONDS)
        return add_lags(
            listed,
            {
                shard: None if isinstance(found, ShardUnavailableError) else found
                for shard, found in lags.items()
                if shard != HOME
            },
        )


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
