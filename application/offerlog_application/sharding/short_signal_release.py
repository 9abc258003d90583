"""The release of the short signals that wait at the home, wherever their actions are.

Two stores take part, and no transaction spans both. The shard of the action decides first: to decide the same
signal again is a duplicate there, and a refusal is kept there once, by the number of the signal. Then the
home ends the waiting. So whatever is interrupted is done again, and nothing doubles. A refusal whose reason
may pass leaves nothing at the shard: the home keeps it with the end of the waiting, in one transaction.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from offerlog_application.ports.positions import LogPosition, latest_position
from offerlog_application.ports.shards import HOME
from offerlog_application.ports.short_signals import NamedAction, ParkedShortSignal, ParkedShortSignals
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.recording.short_signals import (
    EndShortParking,
    KnownShortSignal,
    ReleaseShortSignal,
    is_refused_for_good,
)
from offerlog_application.sharding.divided_writer import DividedWriter
from offerlog_application.sharding.router import Router
from offerlog_domain.decision import Decision
from offerlog_domain.identity import OfferKey
from offerlog_domain.outcomes import OutcomeKind, Reason

_ANY_TIME: Final = timedelta(days=1)
"""The most by which a signal may have come later than now, by the clock of another process."""

_log = logging.getLogger(__name__)

_Decided = tuple[Decision, LogPosition | None]


class ReleaseOverShards:
    """Releases the short signals that wait at the home, in all organizations; thread-safe.

    Any number of processes may do so at once: the waiting of each signal ends once.

    Args:
        router: Finds the shards.
        writer: Records at the shards of visitors.
        page: How many signals to look at together.
    """

    def __init__(self, router: Router, writer: DividedWriter, *, page: int = 1_000) -> None:
        self._router = router
        self._writer = writer
        self._page = page

    def release(self, goes_on: Callable[[], bool] = lambda: True) -> tuple[int, LogPosition | None]:
        """Release all that is due. A signal that fails is tried again by the next call.

        While a shard cannot be reached, or a slice moves, no signal is given up whose action no other shard
        knows.

        Args:
            goes_on: Says if to look for more, asked after each page.

        Returns:
            Number of signals that ended as `never_reachable`, and the position that shows the others.

        Raises:
            ShardUnavailableError: The home cannot be reached.
        """
        ended, positions = 0, list[LogPosition | None]()
        tried: set[int] = set()
        while True:
            waiting = self._read(tried)
            if not waiting:
                break
            shard_map = self._router.newest_map()  # a shard may have been added
            found = self._writer.search.find({_name(one) for one in waiting})
            # A slice that has moved meanwhile may be overlooked: its target was asked too early, and its
            # source too late. The directory tells of a move before the source deletes its rows.
            is_whole = found.missing is None and self._router.newest_map() == shard_map
            # In lifecycle order: a later state does not wait once more for an earlier one of the same page.
            for one in sorted(waiting, key=_get_order):
                try:
                    is_over, position = self._release(one, found.offers[_name(one)], is_whole=is_whole)
                except Exception as error:  # noqa: BLE001 - it stays due; the others are not held up
                    _log.warning("a short signal could not be released and will be tried again: %s", error)
                    continue
                ended += is_over
                positions.append(position)
            tried |= {one.number for one in waiting}
            if len(waiting) < self._page or not goes_on():
                break
        return ended, latest_position(positions)

    def _read(self, besides: set[int]) -> Sequence[ParkedShortSignal]:
        """Read the next signals that wait, due or not."""
        until = self._writer.now() + _ANY_TIME
        return self._router.ask(
            self._router.home, lambda home: home.store.short_signals.due(until, self._page, besides)
        )

    def _release(
        self, parked: ParkedShortSignal, offers: Sequence[OfferKey], *, is_whole: bool
    ) -> tuple[bool, LogPosition | None]:
        """Release one signal if it is due.

        Args:
            parked: The signal.
            offers: The visitor-offers that were found for its action.
            is_whole: False if there may be others.

        Returns:
            True if it ended as `never_reachable`, and the position that shows what was recorded.
        """
        offer = self._writer.search.choose(_name(parked), offers)
        if offer is not None:
            decision, position = self._decide(parked, offer)
            if decision.outcome is not None:
                is_kept_here = decision.outcome is OutcomeKind.REFUSED and not is_refused_for_good(decision)
                self._end(parked, decision.reason if is_kept_here else None)
                return False, position
        is_over = self._writer.now() >= parked.parked_at + self._writer.rules.parking_time
        if not is_over or not is_whole:
            return False, None
        return self._end(parked, Reason.NEVER_REACHABLE), None

    def _decide(self, parked: ParkedShortSignal, offer: OfferKey) -> _Decided:
        """Decide a signal at the shard of its action."""
        key = self._router.home.store.log.key(parked.organization)
        command = KnownShortSignal(ReleaseShortSignal(key, parked), offer)
        answer: PendingAnswer[_Decided] = self._writer.submit(
            [command], (), _only, organization=parked.organization, key=key
        )
        return answer.result()  # without a limit: writers answer all they took, with an error at their end

    def _end(self, parked: ParkedShortSignal, reason: Reason | None) -> bool:
        """End the waiting of a signal at the home; returns False if another process has done so.

        Args:
            parked: The signal.
            reason: The reason of a refusal to be kept at the home; None for none.
        """
        key = self._router.home.store.log.key(parked.organization)
        command = EndShortParking(key, parked, reason)
        answer = self._router.get(HOME).writer.submit(
            [command], (), _only, organization=parked.organization, key=key
        )
        return answer.result()[0].outcome is not None  # without a limit, as above


class ReleasedElsewhere:
    """The application's `ParkedShortSignals` for the service over one shard, which releases none of them.

    Args:
        parked: Those of its store.
    """

    def __init__(self, parked: ParkedShortSignals) -> None:
        self._parked = parked

    def due(
        self, parked_before: datetime, limit: int, besides: Collection[int] = (), *, most_offers: int = 1
    ) -> Sequence[ParkedShortSignal]:
        """Return none: all shards together say if an action is known."""
        del parked_before, limit, besides, most_offers
        return ()

    def forget_actions(self, before: datetime) -> int:
        """Forget old actions of its store; see `ParkedShortSignals.forget_actions`."""
        return self._parked.forget_actions(before)


def _only(decisions: Sequence[Decision], position: LogPosition | None) -> _Decided:
    (decision,) = decisions
    return decision, position


def _name(parked: ParkedShortSignal) -> NamedAction:
    return NamedAction(parked.organization, parked.action_id)


def _get_order(parked: ParkedShortSignal) -> tuple[str, int, datetime]:
    return parked.signal.action_id, parked.signal.rank, parked.parked_at
