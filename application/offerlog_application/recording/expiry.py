"""The use case of time: it records due time-outs, ends parkings that are over and releases short signals."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offerlog_application.ports.deadlines import Deadlines
from offerlog_application.ports.positions import LogPosition, split_position
from offerlog_application.recording.commands import ExpireOffer
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.recording.short_signal_release import ShortSignalRelease
from offerlog_application.recording.submissions import OverloadedError
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.decision import Decision
from offerlog_domain.identity import OfferKey

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Expired:
    """The numbers of a run.

    Attributes:
        timedout: Time-outs recorded.
        never_reachable: Parked signals that were given up.
        position: The position of the log at which a projection shows it; None if nothing was appended.
    """

    timedout: int
    never_reachable: int
    position: LogPosition | None


class Expiry:
    """Records what is due, in all organizations; thread-safe.

    Any number of processes may do so at once: each deadline is recorded once.

    Args:
        writer: The log's writer in this process.
        deadlines: Finds what may be overdue.
        short_signals: Releases the short signals that wait.
        group: How many visitor-offers to look at before the projections are waited for.
    """

    def __init__(
        self,
        writer: GroupCommitWriter,
        deadlines: Deadlines,
        short_signals: ShortSignalRelease,
        *,
        group: int = 2_000,
    ) -> None:
        self._writer = writer
        self._deadlines = deadlines
        self._short_signals = short_signals
        self._group = group

    def expire(
        self, wait: Callable[[int | None], None], *, goes_on: Callable[[], bool] = lambda: True
    ) -> Expired:
        """Record all that is due. A failed deadline is retried later and does not block the others.

        Args:
            wait: Waits until the projections show a position: what has been ended is due until they do.
            goes_on: Whether to look for more, asked after each group.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            Exception: Nothing could be recorded; the error of the last one.
        """
        timedout = 0
        ended, position = self._short_signals.release(goes_on)
        failed: dict[OfferKey, Exception] = {}
        idle: set[OfferKey] = set()  # nothing is due there: a projection has not been told, and may never be
        while True:
            now, rules = self._writer.now(), self._writer.rules
            due = self._deadlines.due(
                deadline_before=now - rules.deadline_grace,
                parked_before=now - rules.parking_time,
                limit=self._group,
                besides=failed.keys() | idle,
            )
            # Each is a separate submission: one that cannot be read or written harms no other.
            answers = [(offer, self._submit(offer)) for offer in due]
            for offer, answer in answers:
                try:
                    one = answer.result()
                except Exception as error:  # noqa: BLE001 - it stays due; the others are done first
                    failed[offer] = error
                    continue
                if one.position is None:
                    idle.add(offer)
                else:
                    position = max(position or 0, *split_position(one.position))
                timedout, ended = timedout + one.timedout, ended + one.never_reachable
            if (
                not due or not goes_on()
            ):  # a short page is not the last: several of its rows may be of one stream
                break
            wait(position)
        if failed:
            last = [*failed.values()][-1]
            if not timedout and not ended:
                raise last
            _log.warning("%d deadlines could not be kept and will be tried again: %s", len(failed), last)
        return Expired(timedout, ended, position)

    def _submit(self, offer: OfferKey) -> PendingAnswer[Expired]:
        try:
            return self._writer.submit([ExpireOffer(offer)], (), _ended_by, organization=offer.organization)
        except (
            OverloadedError
        ) as error:  # its organization's share of the queue is full: those of others go on
            refused: PendingAnswer[Expired] = PendingAnswer()
            refused.set_exception(error)
            return refused


def _ended_by(decisions: Sequence[Decision], position: int | None) -> Expired:
    """Count what the decisions on one visitor-offer ended."""
    ended = sum(len(decision.ended_parkings) for decision in decisions)
    events = sum(len(decision.events) for decision in decisions)
    return Expired(events - ended, ended, position)
