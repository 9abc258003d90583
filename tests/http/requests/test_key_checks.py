"""Keys while their store does not answer: one that was valid stays valid, and nobody waits for long."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from unittest.mock import Mock

import pytest

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Key, KeyStore, Role
from offerlog_application.ports.sessions import SessionStore
from offerlog_infrastructure.http.requests import key_checks
from offerlog_infrastructure.http.requests.key_checks import KeyChecks
from offerlog_infrastructure.http.threads.fair_threads import FairThreads

_KEY = Key("0123456789ab", "default", Role.SERVICE, "", (), datetime(2026, 1, 1, tzinfo=UTC))
_AWAY = StoreUnavailableError("the server is away")


def _keys(find: Callable[[str], Key | None], *, kept: Key | None = _KEY) -> Mock:
    """A store of keys whose look-up is `find`; the key was valid before."""
    keys = Mock(spec=KeyStore)
    keys.find_remembered.return_value = keys.find_remembered_id.return_value = None
    keys.is_unknown.return_value = False
    keys.was_valid.return_value = True
    keys.find.side_effect = keys.find_id.side_effect = find
    keys.find_kept.return_value = keys.find_kept_id.return_value = kept
    return keys


def _checks(
    keys: Mock, *, is_prepared: bool = True, prepare: Callable[[str], None] | None = None
) -> KeyChecks:
    threads = FairThreads(2, each=1, waiting=10, waiting_each=5)
    return KeyChecks(keys, Mock(spec=SessionStore), threads, prepare or Mock(), lambda _: is_prepared)


def _raise(_: str) -> Key | None:
    raise _AWAY


def test_a_key_that_was_valid_stays_valid_while_its_store_fails() -> None:
    """By its text, and by its id."""

    async def ask() -> None:
        checks = _checks(_keys(_raise))
        assert await checks.by_text("text", "peer") is _KEY
        assert await checks.by_id(_KEY.id) is _KEY

    asyncio.run(ask())


def test_without_such_a_key_the_error_of_the_store_counts() -> None:
    """Nobody is let in whom no look-up has found."""

    async def ask() -> None:
        with pytest.raises(StoreUnavailableError):
            await _checks(_keys(_raise, kept=None)).by_text("text", "peer")

    asyncio.run(ask())


def test_what_a_store_says_that_answers_counts() -> None:
    """Also where the key was valid a moment ago."""

    async def ask() -> None:
        assert await _checks(_keys(lambda _: None)).by_text("text", "peer") is None

    asyncio.run(ask())


def test_only_the_first_caller_waits_for_a_store_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up goes on meanwhile, and its end counts."""
    monkeypatch.setattr(key_checks, "_PATIENCE_SECONDS", 0.05)
    goes_on = Event()

    def hang(_: str) -> Key | None:
        goes_on.wait(60)
        return None

    async def ask() -> None:
        keys = _keys(hang)
        checks = _checks(keys)
        try:
            assert await checks.by_text("text", "peer") is _KEY
            # when
            monkeypatch.setattr(key_checks, "_PATIENCE_SECONDS", 600.0)
            # then
            async with asyncio.timeout(60):
                assert await checks.by_text("text", "peer") is _KEY
            assert keys.find.call_count == 1
        finally:
            goes_on.set()
        async with asyncio.timeout(60):
            while await checks.by_text("text", "peer") is not None:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)

    asyncio.run(ask())


def test_the_secret_of_an_organization_is_read_in_a_thread() -> None:
    """Where it has been forgotten since the look-up: the event loop must not wait for it."""
    threads: list[bool] = []

    def prepare(organization: str) -> None:
        assert organization == "default"
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            threads.append(True)

    async def ask() -> None:
        keys = _keys(_raise)
        keys.find_remembered.return_value = _KEY
        assert await _checks(keys, is_prepared=False, prepare=prepare).by_text("text", "peer") is _KEY

    asyncio.run(ask())
    assert threads == [True]
