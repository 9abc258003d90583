"""How many new action maps widget keys may bring up: a public key must not fill an organization's reports.

A map is known once the organization has events of it, whoever sent them. So a site that announces more maps
than this sends the first signal of each with a service key.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import msgspec

from offerlog_infrastructure.http.requests.rates import TokenBuckets, rate_limited
from offerlog_infrastructure.http.threads.fair_threads import FairThreads

_MOST_REMEMBERED: Final = 50_000
_HOUR: Final = 3_600
_SHARE_OF_A_PEER: Final = 0.2


class _Mapped(msgspec.Struct, rename="camel"):
    """Where a signal names its action map, in either wire form; anything may stand there."""

    action_map_id: Any = None
    web_action_event: Any = None


_decode = msgspec.json.Decoder(_Mapped).decode


class WidgetMaps:
    """Counts the action maps that widget keys bring up, by organization and by peer address.

    Args:
        known: Returns which maps an organization has events of; reads the store.
        threads: Threads for that, shared by organization.
        an_hour: New maps an hour in one organization; one peer address may bring up a fifth of them.
    """

    def __init__(
        self, known: Callable[[str, Collection[str]], Collection[str]], threads: FairThreads, an_hour: int
    ) -> None:
        self._known = known
        self._threads = threads
        self._remembered: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._organizations = TokenBuckets(an_hour / _HOUR, an_hour)
        a_peers = max(1.0, an_hour * _SHARE_OF_A_PEER)
        self._peers = TokenBuckets(a_peers / _HOUR, a_peers)

    async def admit(self, organization: str, peer: str, signals: Iterable[bytes]) -> None:
        """Let signals through unless they bring up too many new maps.

        Raises:
            Problem: 429; none of the signals may be recorded.
            StoreUnavailableError: The store cannot be reached.
        """
        asked = {one for signal in signals for one in _maps_of(signal)}
        unknown = [one for one in asked if (organization, one) not in self._remembered]
        if unknown:
            found = await self._threads.run(organization, lambda: self._known(organization, unknown))
            self._count(organization, peer, len(unknown) - len(found))
        for one in asked:
            self._remembered[organization, one] = None
            self._remembered.move_to_end((organization, one))
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)

    def _count(self, organization: str, peer: str, new: int) -> None:
        wait = max(self._organizations.wait(organization, new), self._peers.wait((organization, peer), new))
        if new and wait:
            raise rate_limited(
                f"{new} action maps here are new, and widget keys bring up at most"
                f" {self._organizations.burst:,.0f} an hour, {self._peers.burst:,.0f} from one address:"
                " send the first signal of a new action map with a service key",
                wait,
            )
        self._organizations.charge(organization, new)
        self._peers.charge((organization, peer), new)


def _maps_of(signal: bytes) -> Iterator[str]:
    """Yield the action maps that a signal names; one that names none is refused anyway."""
    try:
        mapped = _decode(signal)
    except (msgspec.MsgspecError, RecursionError):
        mapped = _decoded_slowly(signal)
    named = [mapped.action_map_id]
    if isinstance(mapped.web_action_event, dict):
        action_map = mapped.web_action_event.get("actionMap")
        named.append(action_map.get("id") if isinstance(action_map, dict) else None)
    for one in named:
        if isinstance(one, str):
            with suppress(ValueError):
                yield str(UUID(one))


def _decoded_slowly(signal: bytes) -> _Mapped:
    """Decode what is not quite JSON, such as NaN, but is read as a signal all the same."""
    try:
        told = json.loads(signal)
    except (ValueError, RecursionError):
        return _Mapped()
    return (
        _Mapped(told.get("actionMapId"), told.get("webActionEvent")) if isinstance(told, dict) else _Mapped()
    )
