"""A port of which no use works over several shards yet: each call is one clear error."""

from collections.abc import Callable
from typing import Any

from offerlog_application.ports.shards import NotOverShardsError


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
