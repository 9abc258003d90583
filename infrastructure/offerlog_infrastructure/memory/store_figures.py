"""Figures about a log in memory, as operators watch those of a store."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.store_figures import MAX_COUNTED, Backlog, PoolUse, StoreFigures
from offerlog_application.ports.subscriptions import SubscriptionStore
from offerlog_application.ports.webhooks import WebhookStore
from offerlog_application.projections.current_state import deadline_of
from offerlog_application.projections.slots import at_slot, slot
from offerlog_domain.context import Rules
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.reads import MemoryReads

_DAY = timedelta(days=1)


class MemoryStoreFigures:
    """The application's `StoreFiguresReader`; thread-safe. What only a store has is empty."""

    def __init__(
        self,
        log: MemoryLog,
        reads: MemoryReads,
        subscriptions: SubscriptionStore,
        webhooks: WebhookStore,
        clock: Clock,
    ) -> None:
        self._log = log
        self._subscriptions = subscriptions
        self._webhooks = webhooks
        self._reads = reads
        self._clock = clock

    def read_figures(self, rules: Rules) -> StoreFigures:
        """Read the figures."""
        now = self._clock.now()
        with self._log.lock:
            parked = [row.parked_at for row in self._log.parked.values()]
            parked += [one.parked_at for one in self._log.short_signals.waiting()]
            newest = [offer.newest for offer in self._log.offers.values() if offer.newest is not None]
            deadlines = [
                due for action in newest if (due := deadline_of(action.events[-1].event)) is not None
            ]
            tallies = list(self._log.refusal_tallies)
        day, week = (at_slot(slot(now - days * _DAY)) for days in (1, 8))
        return StoreFigures(
            taken_at=now,
            made_at=None,
            server="",
            database_bytes=0,
            organizations=self._reads.names(),
            position=self._reads.position(),
            projections=self._reads.status(),
            dead_letters=0,
            parked=_backlog(parked, now),
            overdue_parkings=_backlog(parked, now - rules.parking_time),
            overdue_deadlines=_backlog(deadlines, now - rules.deadline_grace),
            refusals=dict(Counter(one.reason.value for one in tallies if one.recorded_at >= day)),
            usual_refusals=dict(
                Counter(one.reason.value for one in tallies if week <= one.recorded_at < day)
            ),
            tree=None,
            checkpoint=None,
            cosigned=None,
            signed=(),
            subscriptions=self._subscriptions.all(),
            webhooks=self._webhooks.all(),
            keys={},
            backup=None,
            clients=(),
        )

    def read_each(self, rules: Rules) -> Sequence[StoreFigures]:
        """Read the figures of the only store."""
        return [self.read_figures(rules)]

    def pools(self) -> Sequence[PoolUse]:
        """Return that there are no connections."""
        return ()


def _backlog(moments: Iterable[datetime], until: datetime) -> Backlog:
    waiting = [moment for moment in moments if moment <= until]
    return Backlog(min(len(waiting), MAX_COUNTED), len(waiting) > MAX_COUNTED, min(waiting, default=None))
