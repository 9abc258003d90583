"""Upkeep of the refusal log while a service is open: folds tallies, deletes old refusals."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.refusals import RefusalCounter, RefusalLog
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_application.schedule.periodic_thread import PeriodicThread

_UPKEEP_SECONDS: Final = 30.0
"""Seconds between two runs of the upkeep."""

_PAUSE_SECONDS: Final = 0.2
"""Seconds between two steps, so that writers and readers have the store to themselves most of the time."""


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
        for prune, retention in (
            (self._refusals.prune, self._policy.retention),
            (self._refusals.prune_unattributed, self._policy.unattributed_retention),
        ):
            before = self._before(retention)
            while before is not None and (step := prune(before)):
                pruned += step
                if pause():
                    return pruned
        return pruned

    def _before(self, retention: timedelta) -> datetime | None:
        if not retention:
            return None
        try:
            return self._clock.now() - retention
        except OverflowError:
            return None


def keep_refusals_tidy(upkeep: RefusalUpkeep) -> PeriodicThread:
    """Start the thread that runs the upkeep every 30 s until it is closed."""
    return PeriodicThread(
        "offerlog-refusals",
        _UPKEEP_SECONDS,
        lambda thread: upkeep.run(lambda: thread.pause(_PAUSE_SECONDS)),
        "the refusal log could not be tidied and will be tried again: %s",
    )
