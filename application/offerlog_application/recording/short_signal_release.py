"""The release of short signals that wait: once their action is offered, or once their time is over."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from offerlog_application.ports.event_log import Streams
from offerlog_application.ports.short_signals import (
    MOST_OFFERS_OF_ACTION,
    ParkedShortSignal,
    ParkedShortSignals,
)
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.recording.short_signals import ReleaseShortSignal
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.decision import Decision
from offerlog_domain.outcomes import Reason

_FORGET_SECONDS: Final = 300.0
"""Seconds between two looks for actions that are found no longer."""

_log = logging.getLogger(__name__)

Released = tuple[int, int | None]
"""Number of signals that ended as `never_reachable`, and the position that shows the others; None without."""


class ShortSignalRelease:
    """Releases the short signals that wait, in all organizations; thread-safe.

    Any number of processes may do so at once: the waiting of each signal ends once.

    Args:
        writer: The log's writer in this process.
        parked: The signals that wait.
        streams: Has the keys of organizations.
        page: How many signals to look at together.
    """

    def __init__(
        self, writer: GroupCommitWriter, parked: ParkedShortSignals, streams: Streams, *, page: int = 1_000
    ) -> None:
        self._writer = writer
        self._parked = parked
        self._streams = streams
        self._page = page
        self._next_forgetting = 0.0

    def release(self, goes_on: Callable[[], bool]) -> Released:
        """Release all that is due. A signal that fails is tried again by the next call.

        Args:
            goes_on: Whether to look for more, asked after each page.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        ended, position = 0, None
        tried: set[int] = set()
        # Signals of an id that several visitor-offers have may wait on, so a call looks at one page of them.
        most_offers = MOST_OFFERS_OF_ACTION
        while True:
            before = self._writer.now() - self._writer.rules.parking_time
            due = self._parked.due(before, self._page, tried, most_offers=most_offers)
            most_offers = 1
            # In lifecycle order: a later state does not wait once more for an earlier one of the same page.
            answers = [self._submit(one) for one in sorted(due, key=_get_order)]
            for answer in answers:
                try:
                    never, shown_at = answer.result()
                except Exception as error:  # noqa: BLE001 - it stays due; the others are not held up
                    _log.warning("a short signal could not be released and will be tried again: %s", error)
                    continue
                ended, position = ended + never, max(position or 0, shown_at or 0) or None
            tried |= {one.number for one in due}
            if len(due) < self._page or not goes_on():
                break
        self._forget_actions()
        return ended, position

    def _submit(self, parked: ParkedShortSignal) -> PendingAnswer[Released]:
        try:
            key = self._streams.key(parked.organization)
            command = ReleaseShortSignal(key, parked)
            return self._writer.submit([command], (), _answer, organization=parked.organization, key=key)
        except Exception as error:  # noqa: BLE001 - the queue of its organization may be full; others go on
            refused: PendingAnswer[Released] = PendingAnswer()
            refused.set_exception(error)
            return refused

    def _forget_actions(self) -> None:
        """Forget the actions that are found no longer, from time to time."""
        if time.monotonic() >= self._next_forgetting:
            self._next_forgetting = time.monotonic() + _FORGET_SECONDS
            self._parked.forget_actions(self._writer.now() - self._writer.rules.named_action_time)


def _get_order(parked: ParkedShortSignal) -> tuple[str, int, datetime]:
    return parked.signal.action_id, parked.signal.rank, parked.parked_at


def _answer(decisions: Sequence[Decision], position: int | None) -> Released:
    (decision,) = decisions
    return int(decision.reason is Reason.NEVER_REACHABLE), position if decision.events else None
