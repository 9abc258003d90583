"""The fence: no writer that decided before a moment stores anything after it."""

from collections.abc import Sequence
from typing import Final, Protocol

from offerlog_domain.errors import OfferlogError

FENCE_SECONDS: Final = 60.0
"""Seconds for which a fence waits for writers unless its caller says otherwise."""


class FenceTimeoutError(OfferlogError):
    """Writers that may have decided before the fence have not ended in time.

    The new epoch is committed, so later writers are not concerned. The same call again goes on waiting; so
    does `finish` after `fence`.

    Attributes:
        epoch: The current epoch.
        seconds: The time for which the writers were waited for.
        holders: A sentence about each transaction that is awaited: who holds it, and what ends it.
    """

    def __init__(self, epoch: int, seconds: float, holders: Sequence[str]) -> None:
        super().__init__(epoch, seconds, tuple(holders))
        self.epoch = epoch
        self.seconds = seconds
        self.holders = tuple(holders)

    def __str__(self) -> str:
        return (
            f"writers from before epoch {self.epoch} have not ended within {self.seconds:.1f} seconds:"
            f" {'; '.join(self.holders)}; then do the same again"
        )


class WriteFence(Protocol):
    """Stops writers that decided before a change, for instance before a key was destroyed.

    Each writer decides under an epoch, and looks at the epoch again before it commits. If the epoch has been
    raised meanwhile, it stores nothing, loads everything again and decides again. Its callers notice nothing.
    Any number of processes may fence at once. Nobody waits for a fence but its caller.
    """

    def fence(self, seconds: float = FENCE_SECONDS) -> int:
        """Raise the epoch, and wait until no writer of an older epoch is left; returns the new epoch.

        What the caller has committed before the call is known to all decisions that are stored after it.

        Args:
            seconds: How long to wait.

        Raises:
            FenceTimeoutError: Some writers have not ended; the error names them. Call again to go on waiting.
            StoreUnavailableError: The store cannot be reached. The epoch may have been raised; call again.
        """

    def finish(self, seconds: float = FENCE_SECONDS) -> int:
        """Wait until no writer of an older epoch is left, without raising the epoch; returns the epoch.

        For a fence that was interrupted, or an epoch that was raised together with something else.

        Args:
            seconds: How long to wait.

        Raises:
            FenceTimeoutError: Some writers have not ended; the error names them. Call again to go on waiting.
            StoreUnavailableError: The store cannot be reached.
        """
