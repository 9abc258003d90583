"""Limit on new action maps in signals sent with widget keys.

Widget keys are public, so anybody could fill an organization's reports with invented maps.

A map is known once the organization has an event of it, sent with any kind of key. A site with more new
maps than the bound sends the first signal of each map with a service key.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import msgspec

from offerlog_domain.identity import ActionMapId
from offerlog_infrastructure.http.requests.rates import TokenBuckets, rate_limited
from offerlog_infrastructure.http.threads.fair_threads import FairThreads

_MAX_REMEMBERED: Final = 50_000
"""Maximum number of maps in memory: known ones, and new ones that were admitted."""

_HOUR: Final = 3_600
_SHARE_OF_A_PEER: Final = 0.2
"""Part of an organization's new maps that one peer address may name."""


class _MapFields(msgspec.Struct, rename="camel"):
    """The fields that may hold a signal's action map, in either wire form, with values of any type."""

    action_map_id: Any = None
    web_action_event: Any = None


_decode = msgspec.json.Decoder(_MapFields).decode


class WidgetMaps:
    """Counts the new action maps in signals with widget keys, by organization and by peer address.

    Args:
        known: Returns those of the maps that the organization has events of; it reads the store.
        threads: Threads for these reads, shared by organization.
        an_hour: Most new maps in an hour of one organization; one peer address may name a fifth of them.
    """

    def __init__(
        self,
        known: Callable[[str, Collection[ActionMapId]], Collection[ActionMapId]],
        threads: FairThreads,
        an_hour: int,
    ) -> None:
        self._known = known
        self._threads = threads
        self._remembered: OrderedDict[tuple[str, ActionMapId], None] = OrderedDict()
        self._organizations = TokenBuckets(an_hour / _HOUR, an_hour)
        a_peers = max(1.0, an_hour * _SHARE_OF_A_PEER)
        self._peers = TokenBuckets(a_peers / _HOUR, a_peers)

    async def admit(self, organization: str, peer: str, signals: Iterable[bytes]) -> None:
        """Admit signals unless they name too many new maps.

        Raises:
            ProblemError: 429, none of the signals may be recorded.
            StoreUnavailableError: The store cannot be reached.
        """
        named = {one for signal in signals for one in _find_maps(signal)}
        unknown = [one for one in named if (organization, one) not in self._remembered]
        if unknown:
            known = await self._threads.run(organization, lambda: self._known(organization, unknown))
            self._count(organization, peer, len(unknown) - len(known))
        for one in named:
            self._remembered[organization, one] = None
            self._remembered.move_to_end((organization, one))
        while len(self._remembered) > _MAX_REMEMBERED:
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


def _find_maps(signal: bytes) -> Iterator[ActionMapId]:
    """Yield the action maps that a signal names. A signal without one is refused later."""
    try:
        fields = _decode(signal)
    except (msgspec.MsgspecError, RecursionError):
        fields = _decode_slowly(signal)
    named = [fields.action_map_id]
    if isinstance(fields.web_action_event, dict):
        action_map = fields.web_action_event.get("actionMap")
        named.append(action_map.get("id") if isinstance(action_map, dict) else None)
    for one in named:
        if isinstance(one, str):
            with suppress(ValueError):
                yield ActionMapId(str(UUID(one)))


def _decode_slowly(signal: bytes) -> _MapFields:
    """Decode a signal that is not strict JSON, with NaN for example, but that the domain reads."""
    try:
        document = json.loads(signal)
    except (ValueError, RecursionError):
        return _MapFields()
    if not isinstance(document, dict):
        return _MapFields()
    return _MapFields(document.get("actionMapId"), document.get("webActionEvent"))
