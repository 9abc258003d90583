"""Look-ups of keys in the store, bounded for each peer."""

import asyncio
from collections.abc import Callable
from typing import Final

from offerlog_application.ports.keys import Key, KeyStore
from offerlog_infrastructure.http.requests.rates import TokenBuckets, rate_limited
from offerlog_infrastructure.http.threads.fair_threads import FairThreads

_UNKNOWN_KEYS_AT_ONCE: Final = 50
_UNKNOWN_KEYS_PER_SECOND: Final = 5.0
"""Look-ups of unknown keys from one peer address; beyond them the store is not asked."""


class KeyChecks:
    """Looks keys up without blocking the event loop, and protects the store from a flood of invalid keys.

    A valid key is remembered for a few seconds, an invalid one for a minute. Any other key is looked up in
    the store, on threads of its own where peers take turns. Requests with the same key share one look-up.

    Args:
        keys: The store of keys.
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
        """Return the valid key with this text; None if no valid key has it.

        Raises:
            ProblemError: 429, this peer has sent too many unknown keys.
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._keys.remembered(text)
        if key is not None or self._keys.is_unknown(text):
            return key
        if self._keys.was_good(text):  # this caller has a turn of its own, apart from its address
            return await self._share_look_up(text, f"key {text}", self._keys.find)
        if wait := self._failures.wait(peer):
            raise rate_limited("too many unknown keys from this address", wait)
        key = await self._share_look_up(text, peer, self._keys.find)
        if key is None:
            self._failures.charge(peer, 1)
        return key

    async def by_id(self, key_id: str) -> Key | None:
        """Return the valid key with this id, for a session that has shown the text of the key before.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._keys.remembered_id(key_id)
        return (
            key if key is not None else await self._share_look_up(key_id, f"key {key_id}", self._keys.find_id)
        )

    async def _share_look_up(self, name: str, caller: str, find: Callable[[str], Key | None]) -> Key | None:
        look_up = self._under_way.get(name)
        if look_up is None:
            look_up = self._under_way[name] = asyncio.create_task(self._look_up(name, caller, find))
            look_up.add_done_callback(lambda done: self._forget(name, done))
        return await asyncio.shield(look_up)

    async def _look_up(self, name: str, caller: str, find: Callable[[str], Key | None]) -> Key | None:
        def find_and_prepare() -> Key | None:
            key = find(name)
            if key is not None:
                self._prepare(key.organization)
            return key

        return await self._threads.run(caller, find_and_prepare)

    def _forget(self, name: str, look_up: "asyncio.Task[Key | None]") -> None:
        del self._under_way[name]
        if not look_up.cancelled():
            look_up.exception()  # retrieved, so that asyncio does not log it if all callers have left
