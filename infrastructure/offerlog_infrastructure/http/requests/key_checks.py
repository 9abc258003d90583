"""Look-ups of keys in the store, bounded for each peer."""

import asyncio
from collections.abc import Callable
from typing import Final

from offerlog_application.ports.keys import Key, KeyStore
from offerlog_infrastructure.http.requests.rates import TokenBuckets, rate_limited
from offerlog_infrastructure.http.threads.fair_threads import FairThreads

_UNKNOWN_KEYS_AT_ONCE: Final = 50
_UNKNOWN_KEYS_PER_SECOND: Final = 5.0
"""Look-ups of keys that turn out to be unknown, by peer address: past that the store is not asked."""


class KeyChecks:
    """Looks keys up without ever blocking the event loop, and without letting bad keys flood the store.

    A good key is remembered for a few seconds and a bad one for a minute. What neither is goes to the
    store, on threads of its own in which peers take turns; requests that come with the same key meanwhile
    share one look-up.

    Args:
        keys: Where keys are kept.
        threads: Threads for the look-ups, shared by peer address.
        prepare: Called in the thread with the organization of each key that is found, before the key is used.
    """

    def __init__(self, keys: KeyStore, threads: FairThreads, prepare: Callable[[str], None]) -> None:
        self._keys = keys
        self._threads = threads
        self._prepare = prepare
        self._failures = TokenBuckets(_UNKNOWN_KEYS_PER_SECOND, _UNKNOWN_KEYS_AT_ONCE)
        self._under_way: dict[str, asyncio.Task[Key | None]] = {}

    async def by_text(self, text: str, peer: str) -> Key | None:
        """Return the good key with this text, None where there is none.

        Raises:
            Problem: 429 where this peer has asked for too many unknown keys.
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._keys.remembered(text)
        if key is not None or self._keys.is_unknown(text):
            return key
        if self._keys.was_good(
            text
        ):  # whatever else comes from the same address, this caller has a turn of its own
            return await self._looked_up(text, f"key {text}", self._keys.find)
        if wait := self._failures.wait(peer):
            raise rate_limited("too many unknown keys from this address", wait)
        key = await self._looked_up(text, peer, self._keys.find)
        if key is None:
            self._failures.charge(peer, 1)
        return key

    async def by_id(self, key_id: str) -> Key | None:
        """Return the good key with this id: of a session, which has shown the key's text once.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._keys.remembered_id(key_id)
        return key if key is not None else await self._looked_up(key_id, f"key {key_id}", self._keys.find_id)

    async def _looked_up(self, name: str, caller: str, find: Callable[[str], Key | None]) -> Key | None:
        looking = self._under_way.get(name)
        if looking is None:
            looking = self._under_way[name] = asyncio.create_task(self._look_up(name, caller, find))
            looking.add_done_callback(lambda done: self._ended(name, done))
        return await asyncio.shield(looking)

    async def _look_up(self, name: str, caller: str, find: Callable[[str], Key | None]) -> Key | None:
        def found() -> Key | None:
            key = find(name)
            if key is not None:
                self._prepare(key.organization)
            return key

        return await self._threads.run(caller, found)

    def _ended(self, name: str, looking: "asyncio.Task[Key | None]") -> None:
        del self._under_way[name]
        if not looking.cancelled():
            looking.exception()  # so that it is not logged as forgotten where everybody has left
