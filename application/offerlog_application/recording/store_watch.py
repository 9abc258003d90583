"""The writer's patience with a store that cannot do its work, and its log lines meanwhile."""

import logging
import time
from collections.abc import Callable
from typing import Final

from offerlog_application.ports.event_log import (
    StaleEpochError,
    StoreUnavailableError,
    VersionConflictError,
)
from offerlog_application.ports.store_trouble import StoreTrouble

STORE_PATIENCE: Final = 120.0
"""Seconds after its hand-in for which a submission may wait for a table that is locked."""

ATTEMPTS: Final = 8
"""Number of tries of a group at once: because the trouble may be over in the next moment, or because another
writer got there first."""

_LOCK_PAUSE: Final = 0.05
"""Seconds between two attempts at a table that is locked, each of which waits for the lock itself."""

_LASTING: Final = frozenset({StoreTrouble.DISK_FULL, StoreTrouble.STORAGE_FAILED})

_FIRST_SECONDS: Final = 3.0
"""Seconds after which a wait gets a log line."""

_AGAIN_SECONDS: Final = 30.0
"""Seconds between two log lines about the same wait."""

_FRESH_SECONDS: Final = 10.0
"""Seconds for which a failure counts as the state of the store, where nothing has been tried since."""

_log = logging.getLogger(__name__)


class StoreWatch:
    """The writer's knowledge of the store. All but `trouble` is for the writer's thread alone.

    A trouble lasts from the first failure to the next success. It is over, too, where nothing has been tried
    for ten seconds after a failure: the next failure begins another one. A load that succeeds ends a trouble
    in which only loads have failed: a full disk, say, can be read all the time.

    Args:
        waiting: What waits while the store fails, for the log.
        store: What has failed, for the log.
        clock: The monotonic clock.
    """

    def __init__(
        self,
        waiting: str = "writes",
        store: str = "the store",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiting = waiting
        self._store = store
        self._clock = clock
        self._last: tuple[StoreUnavailableError, float] | None = None
        self._only_loads = False
        self._since = 0.0
        self._speak_at = 0.0
        self._has_spoken = False

    @property
    def trouble(self) -> StoreUnavailableError | None:
        """The reason why the store cannot be written to now; None where it can, as far as is known."""
        last = self._last
        return None if last is None or self._clock() - last[1] > _FRESH_SECONDS else last[0]

    def note_success(self, *, began: float | None = None, is_load: bool = False) -> None:
        """Note that a call has succeeded.

        Args:
            began: When the call began, by the monotonic clock; None for now.
            is_load: Whether it was a load, not an append.
        """
        last = self._last
        if last is None or (is_load and not self._only_loads):
            return
        if self._has_spoken:
            now = self._clock()
            if self._is_stale(began):
                seconds = now - last[1]
                _log.warning("%s works again; it failed last %.0f seconds ago", self._store, seconds)
            else:
                _log.warning("%s works again, after %.0f seconds", self._store, now - self._since)
        self._last, self._has_spoken = None, False

    def note_failure(
        self,
        error: StoreUnavailableError,
        *,
        is_final: bool = False,
        began: float | None = None,
        is_load: bool = False,
    ) -> None:
        """Note that the store has failed a call, and say so in the log.

        Args:
            error: What it has failed with.
            is_final: Whether the callers are given this error; a wait is spoken of when it has lasted.
            began: When the call began, by the monotonic clock; None for now.
            is_load: Whether it was a load, not an append.
        """
        now = self._clock()
        if self._is_stale(began):
            self._since, self._speak_at, self._has_spoken = now, now + _FIRST_SECONDS, False
            self._only_loads = True
        self._last = error, now
        self._only_loads = self._only_loads and is_load
        if now >= self._speak_at or (is_final and not self._has_spoken):
            self._speak_at, self._has_spoken = now + _AGAIN_SECONDS, True
            seconds = now - self._since
            _log.warning(
                "%s wait for %s (%.0f seconds so far): %s", self._waiting, self._store, seconds, error
            )

    def _is_stale(self, began: float | None) -> bool:
        """True if no failure is known from shortly before that moment (None: now)."""
        if self._last is None:
            return True
        return (self._clock() if began is None else began) - self._last[1] > _FRESH_SECONDS

    def wait(
        self, error: StoreUnavailableError, attempt: int, until: float, *, began: float, is_load: bool = False
    ) -> int:
        """Note a failure, and rest before the next attempt; returns how many attempts count so far.

        Args:
            error: What the store has failed with.
            attempt: The attempts before this one that count: those that failed for anything but a lock.
            until: How long to wait for a lock, by the monotonic clock.
            began: When the call began, by the monotonic clock.
            is_load: Whether it was a load, not an append.

        Raises:
            StoreUnavailableError: That same error, where no attempt is left.
        """
        is_locked = error.trouble is StoreTrouble.LOCKED
        # The next moment changes nothing about a disk, and somebody has to hear of it.
        is_final = (
            self._clock() >= until if is_locked else error.trouble in _LASTING or attempt + 1 == ATTEMPTS
        )
        self.note_failure(error, is_final=is_final, began=began, is_load=is_load)
        if is_final:
            raise error
        if is_locked:
            time.sleep(_LOCK_PAUSE)
            return attempt
        _pause(attempt + 1)
        return attempt + 1


def check_patience(error: StaleEpochError, until: float) -> None:
    """Raise an error once it is later than `until`, by the monotonic clock."""
    if time.monotonic() >= until:
        raise error


def count_conflict(conflict: VersionConflictError, attempt: int) -> int:
    """Rest before the next attempt, and return how many attempts there have been.

    Raises:
        VersionConflictError: That same conflict, where no attempt is left.
    """
    if attempt + 1 == ATTEMPTS:
        raise conflict
    _pause(attempt + 1)
    return attempt + 1


def _pause(attempt: int) -> None:
    """Rest after so many attempts; not at all after the first."""
    time.sleep(min(0.001 * 2**attempt, 0.2) if attempt > 1 else 0)
