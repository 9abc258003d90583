"""Look-ups of keys in the store, bounded for each peer."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC
from typing import Final

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Key, KeySource, KeyStore, Role
from offerlog_application.ports.sessions import SessionStore
from offerlog_infrastructure.http.requests.rates import BucketMaker, make_buckets, rate_limited
from offerlog_infrastructure.http.threads.fair_threads import FairThreads

_UNKNOWN_KEYS_AT_ONCE: Final = 50
_UNKNOWN_KEYS_PER_SECOND: Final = 5.0
"""Look-ups of unknown keys from one peer address; beyond them the store is not asked."""

_PATIENCE_SECONDS: Final = 1.0
"""Seconds for which a caller with a key that was valid lately waits for the store."""

_AWAY_SECONDS: Final = 5.0
"""Seconds for which nobody waits with such a key, after a look-up that failed or took long."""


class KeyChecks:
    """Looks keys up without blocking the event loop, and protects the store from a flood of invalid keys.

    A valid key is remembered for a few seconds, an invalid one for a minute. Any other key is looked up in
    the store, on separate threads where peers take turns. Requests with the same key share one look-up.

    A key that was valid in the last quarter of an hour stays valid while the store does not answer: where
    several servers share the visitors, the one with the keys must not hold up the visitors of the others. A
    look-up is under way meanwhile, and its end counts.

    Args:
        keys: The store of keys.
        sessions: The store of sessions of the dashboard, each of which stands for a key.
        threads: Threads for the look-ups, shared by peer address.
        prepare: Called in a thread with the organization of each key that is found, before the key is used.
        is_prepared: Returns True for an organization for which `prepare` has nothing to do. Does not wait.
        make: Makes the buckets of unknown keys.
    """

    def __init__(
        self,
        keys: KeyStore,
        sessions: SessionStore,
        threads: FairThreads,
        prepare: Callable[[str], None],
        is_prepared: Callable[[str], bool],
        make: BucketMaker = make_buckets,
    ) -> None:
        self._keys = keys
        self._sessions = sessions
        self._threads = threads
        self._prepare = prepare
        self._is_prepared = is_prepared
        self._away_until = float("-inf")
        self._failures = make("unknown keys", _UNKNOWN_KEYS_PER_SECOND, _UNKNOWN_KEYS_AT_ONCE)
        self._signing: dict[str, bytes] = {}
        self._under_way: dict[str, asyncio.Task[Key | None]] = {}

    async def by_text(self, text: str, peer: str) -> Key | None:
        """Return the valid key with this text; None if no valid key has it.

        Raises:
            ProblemError: 429, this peer has sent too many unknown keys.
            StoreUnavailableError: The store cannot be reached.
        """
        return await self._find_by_text(self._keys, "key", text, peer)

    async def by_session(self, text: str, peer: str) -> Key | None:
        """Return the valid key of the open session with this text; None if there is none.

        Raises:
            ProblemError: 429, this peer has sent too many texts that are not of a session.
            StoreUnavailableError: The store cannot be reached.
        """
        return await self._find_by_text(self._sessions, "session", text, peer)

    def say_why_not(self, text: str) -> str:
        """Say why no valid key has this text, as the last look-up showed. Only its holder sends the text."""
        key = self._keys.find_expired(text)
        if key is None or key.expires_at is None:
            return "this key is unknown or was revoked"
        ended = f"{key.expires_at.astimezone(UTC):%Y-%m-%d at %H:%M UTC}"
        return f"this key expired on {ended}; ask an administrator for a new one"

    async def open_session(self, key: Key, peer: str) -> str:
        """Begin a session of a valid key, and return its text.

        Raises:
            StoreUnavailableError: The store does not take it.
        """
        return await self._threads.run(peer, lambda: self._sessions.open(key))

    async def close_session(self, text: str, peer: str) -> None:
        """End the session with this text.

        Raises:
            StoreUnavailableError: The store cannot be reached. The session goes on.
        """
        await self._threads.run(peer, lambda: self._sessions.close(text))

    async def by_id(self, key_id: str) -> Key | None:
        """Return the valid key with this id, which has signed a valid visitor token before.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        key = self._keys.find_remembered_id(key_id)
        if key is None:
            name = f"id {key_id}"
            key = await self._look_up_again(
                name, lambda: self._keys.find_id(key_id), self._keys.find_kept_id(key_id)
            )
        return await self._with_organization(key)

    async def signing_key(self, key_id: str, peer: str) -> tuple[Key, bytes] | None:
        """Return the valid page key with this id and its secret, for a caller who has not shown its text.

        Args:
            key_id: The id that a visitor token names; anybody may have written it.
            peer: The address of the caller. Ids that are not known are counted against it.

        Raises:
            ProblemError: 429, this peer has sent too many unknown keys.
            StoreUnavailableError: The store cannot be reached.
        """
        if key_id in self._signing:  # as many as there are page keys
            key = await self.by_id(key_id)
        else:
            if wait := self._failures.wait(peer):
                raise rate_limited("too many unknown keys from this address", wait)
            key = await self._share_look_up(f"id {key_id}", peer, lambda: self._keys.find_id(key_id))
            if key is not None and key.role is Role.PAGE:
                found = key
                self._signing[key_id] = await self._threads.run(
                    peer, lambda: self._keys.signing_secret(found)
                )
        if key is None or key.role is not Role.PAGE:
            self._failures.charge(peer, 1)
            return None
        return key, self._signing[key_id]

    async def _find_by_text(self, source: KeySource, kind: str, text: str, peer: str) -> Key | None:
        key = source.find_remembered(text)
        if key is not None or source.is_unknown(text):
            return await self._with_organization(key)
        name = f"{kind} {text}"
        if source.was_valid(text):
            key = await self._look_up_again(name, lambda: source.find(text), source.find_kept(text))
            return await self._with_organization(key)
        if wait := self._failures.wait(peer):
            raise rate_limited(f"too many unknown {kind}s from this address", wait)
        key = await self._share_look_up(name, peer, lambda: source.find(text))
        if key is None:
            self._failures.charge(peer, 1)
        return key

    async def _with_organization(self, key: Key | None) -> Key | None:
        """Return a key once its organization is prepared: its secret may have been forgotten since."""
        if key is not None and not self._is_prepared(key.organization):
            organization = key.organization
            await self._threads.run(f"id {key.id}", lambda: self._prepare(organization))
        return key

    async def _look_up_again(self, name: str, find: Callable[[], Key | None], kept: Key | None) -> Key | None:
        """Look up a key that was valid before. While the store does not answer, return `kept` if it is given.

        The caller has a turn of its own, apart from its address.
        """
        look_up = self._begin_look_up(name, name, find)
        if kept is None:
            return await asyncio.shield(look_up)
        if time.monotonic() < self._away_until:
            return kept
        try:
            return await asyncio.wait_for(asyncio.shield(look_up), _PATIENCE_SECONDS)
        except (TimeoutError, StoreUnavailableError):
            self._away_until = time.monotonic() + _AWAY_SECONDS
            return kept

    async def _share_look_up(self, name: str, caller: str, find: Callable[[], Key | None]) -> Key | None:
        return await asyncio.shield(self._begin_look_up(name, caller, find))

    def _begin_look_up(
        self, name: str, caller: str, find: Callable[[], Key | None]
    ) -> "asyncio.Task[Key | None]":
        """Return the look-up of this name that is under way; begin one if there is none."""
        look_up = self._under_way.get(name)
        if look_up is None:
            look_up = self._under_way[name] = asyncio.create_task(self._look_up(caller, find))
            look_up.add_done_callback(lambda done: self._forget(name, done))
        return look_up

    async def _look_up(self, caller: str, find: Callable[[], Key | None]) -> Key | None:
        def find_and_prepare() -> Key | None:
            key = find()
            if key is not None:
                self._prepare(key.organization)
            return key

        try:
            key = await self._threads.run(caller, find_and_prepare)
        except StoreUnavailableError:
            self._away_until = time.monotonic() + _AWAY_SECONDS
            raise
        self._away_until = float("-inf")
        return key

    def _forget(self, name: str, look_up: "asyncio.Task[Key | None]") -> None:
        del self._under_way[name]
        if not look_up.cancelled():
            look_up.exception()  # retrieved, so that asyncio does not log it if all callers have left
