"""Limit on new action maps in signals with widget keys.

Widget keys are public. Without a limit, anybody could fill an organization's reports with invented maps.

A map is known once the organization has an event or a blocked offer of it, whatever kind of key it came with.
A site may have more new maps than the limit. Then it sends the first signal of each map with a service key.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import msgspec

from offerlog_domain.identity import ActionMapId
from offerlog_infrastructure.http.requests.rates import BucketMaker, make_buckets, rate_limited
from offerlog_infrastructure.http.threads.fair_threads import FairThreads

_MAX_REMEMBERED: Final = 50_000
"""The most maps in memory: known ones, and new ones that were admitted."""

_HOUR: Final = 3_600
_SHARE_OF_A_PEER: Final = 0.2
"""The part of an organization's new maps that one peer address may send."""


class _MapFields(msgspec.Struct, rename="camel"):
    """The fields in which the wire forms hold a signal's action map. Their values may have any type."""

    action_map_id: Any = None
    web_action_event: Any = None
    blocked_web_action_offer_event: Any = None
    event_body: Any = None


_decode = msgspec.json.Decoder(_MapFields).decode


class WidgetMaps:
    """Counts the new action maps in signals with widget keys, by organization and by peer address.

    Args:
        known: Returns the maps among these of which the organization has events. It reads the store.
        threads: Threads for these reads. Organizations take turns in them.
        an_hour: The most new maps of one organization in an hour. One peer address may send a fifth of them.
        make: Makes the buckets.
    """

    def __init__(
        self,
        known: Callable[[str, Collection[ActionMapId]], Collection[ActionMapId]],
        threads: FairThreads,
        an_hour: int,
        make: BucketMaker = make_buckets,
    ) -> None:
        self._known = known
        self._threads = threads
        self._remembered: OrderedDict[tuple[str, ActionMapId], None] = OrderedDict()
        self._organizations = make("maps of organizations", an_hour / _HOUR, an_hour)
        a_peers = max(1.0, an_hour * _SHARE_OF_A_PEER)
        self._peers = make("maps of peers", a_peers / _HOUR, a_peers)

    async def admit(self, organization: str, peer: str, signals: Iterable[bytes]) -> None:
        """Admit signals unless they have too many new maps.

        Raises:
            ProblemError: 429; none of the signals may be recorded.
            StoreUnavailableError: The store cannot be reached.
        """
        await self.admit_maps(organization, peer, {one for signal in signals for one in _find_maps(signal)})

    async def admit_maps(self, organization: str, peer: str, named: Collection[ActionMapId]) -> None:
        """Admit a request that names these maps unless it has too many new ones.

        Raises:
            ProblemError: 429; nothing of the request may be recorded.
            StoreUnavailableError: The store cannot be reached.
        """
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
    """Yield the action maps of a signal. A signal without one is refused later."""
    try:
        fields = _decode(signal)
    except (msgspec.MsgspecError, RecursionError):
        fields = _decode_slowly(signal)
    named = [fields.action_map_id, *_find_events_maps(fields)]
    if isinstance(fields.event_body, dict):  # a notification
        inner = _to_fields(fields.event_body)
        named += [inner.action_map_id, *_find_events_maps(inner)]
    for one in named:
        if isinstance(one, str):
            with suppress(ValueError):
                yield ActionMapId(str(UUID(one)))


def _find_events_maps(fields: _MapFields) -> Iterator[Any]:
    """Yield the ids of action maps in events of the vendor."""
    for event in (fields.web_action_event, fields.blocked_web_action_offer_event):
        if isinstance(event, dict) and isinstance(action_map := event.get("actionMap"), dict):
            yield action_map.get("id")


def _to_fields(document: Mapping[str, Any]) -> _MapFields:
    names = (field.encode_name for field in msgspec.structs.fields(_MapFields))
    return _MapFields(*(document.get(name) for name in names))


def _decode_slowly(signal: bytes) -> _MapFields:
    """Decode a signal that is not strict JSON but that the domain reads: one with NaN, for example."""
    try:
        document = json.loads(signal)
    except (ValueError, RecursionError):
        return _MapFields()
    return _to_fields(document) if isinstance(document, dict) else _MapFields()
