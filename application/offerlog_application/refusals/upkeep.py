"""Upkeep of the refusal log while a service is open: folds tallies, deletes old refusals."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.refusals import RefusalCounter, RefusalLog
from offerlog_application.refusals.policy import RefusalPolicy

_UPKEEP_SECONDS: Final = 30.0
"""Seconds between two runs of the upkeep."""

_PAUSE_SECONDS: Final = 0.2
"""Seconds between two steps, so that writers and readers have the store to themselves most of the time."""

_log = logging.getLogger(__name__)


class RefusalUpkeep:
    """Adds up tallies and deletes old refusals, step by step; thread-safe.

    Args:
        refusals: The refusal log.
        counter: The counts.
        policy: How long refusals are kept.
        clock: The service's clock.
    """

    def __init__(
        self, refusals: RefusalLog, counter: RefusalCounter, policy: RefusalPolicy, clock: Clock
    ) -> None:
        self._refusals = refusals
        self._counter = counter
        self._policy = policy
        self._clock = clock

    def run(self, pause: Callable[[], bool] = lambda: False) -> int:
        """Fold the tallies and delete old refusals, in steps, until done or until `pause` returns True.

        Args:
            pause: Called between two steps; ends the run if it returns true.

        Returns:
            The number of refusals deleted.

        Raises:
            StoreUnavailableError: The store cannot be reached. Completed steps are kept.
        """
        while self._counter.fold_step():  # after a partial step, the next run folds what comes meanwhile
            if pause():
                return 0
        pruned = 0
        before = self._before()
        while before is not None and (step := self._refusals.prune(before)):
            pruned += step
            if pause():
                break
        return pruned

    def _before(self) -> datetime | None:
        if not self._policy.retention:
            return None
        try:
            return self._clock.now() - self._policy.retention
        except OverflowError:
            return None


class RefusalKeeper:
    """Thread that runs the upkeep every 30 s until `close`."""

    def __init__(self, upkeep: RefusalUpkeep) -> None:
        self._upkeep = upkeep
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="offerlog-refusals", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the current step."""
        self._closing.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._closing.wait(_UPKEEP_SECONDS):
            try:
                self._upkeep.run(lambda: self._closing.wait(_PAUSE_SECONDS))
            except Exception as error:  # noqa: BLE001 - what is left stays due; the next look is soon
                _log.warning("the refusal log could not be tidied and will be tried again: %s", error)
