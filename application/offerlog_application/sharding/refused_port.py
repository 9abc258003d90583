"""A port of which no use works over several shards yet: each call is one clear error."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from offerlog_application.ports.shards import NotOverShardsError, ShardUnavailableError
from offerlog_application.ports.store_figures import PoolUse, StoreFigures
from offerlog_application.ports.webhooks import WebhookLag
from offerlog_application.sharding.router import Router
from offerlog_application.sharding.side_by_side import ask_side_by_side
from offerlog_domain.context import Rules

_FIGURES_SECONDS: Final = 2.0
"""Seconds for the figures of all shards. A scrape asks for them only while all of them answer."""


class RefusedPort:
    """Stands in for a port; `close` does nothing, and every other method is an error.

    Args:
        what: What the port is for.
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._refuse

    def __call__(self, *_: object, **__: object) -> Any:
        """Refuse the call.

        Raises:
            NotOverShardsError: Always.
        """
        self._refuse()

    def close(self) -> None:
        """Do nothing: it holds nothing."""

    def _refuse(self, *_: object, **__: object) -> None:
        """Refuse the call.

        Raises:
            NotOverShardsError: Always.
        """
        raise NotOverShardsError(self._what)


class RefusedFigures(RefusedPort):
    """Stands in for the figures of one store: each shard has its own.

    Args:
        what: What the port is for.
        router: Finds the shards.
        list_webhooks: Lists the webhooks of all organizations, with the lags of all logs.
    """

    def __init__(self, what: str, router: Router, list_webhooks: Callable[[], Sequence[WebhookLag]]) -> None:
        super().__init__(what)
        self._router = router
        self._list_webhooks = list_webhooks

    def read_each(self, rules: Rules) -> Sequence[StoreFigures]:
        """Read the figures of each shard's store, the home first, side by side.

        Raises:
            ShardUnavailableError: A shard cannot be reached, or does not answer within some seconds.
        """
        answers = ask_side_by_side(
            self._router, lambda shard: shard.store.figures.read_figures(rules), _FIGURES_SECONDS
        )
        found: list[StoreFigures] = []
        for one in answers.values():
            if isinstance(one, ShardUnavailableError):
                raise one
            found.append(one)
        found[0] = replace(found[0], webhooks=self._list_webhooks())
        return found

    def pools(self) -> Sequence[PoolUse]:
        """Return the use of the pools of all open shards; the names end with `@` and its number."""
        return [
            one._replace(name=f"{one.name}@{shard.number}")
            for shard in self._router.open()
            for one in shard.store.figures.pools()
        ]
