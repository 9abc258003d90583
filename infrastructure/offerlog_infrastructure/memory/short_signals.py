"""Short signals of a log in memory: the actions that are found by their id, and the signals that wait."""

import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from offerlog_application.ports.short_signals import (
    MAX_PARKED_SHORT_SIGNALS,
    FoundAction,
    NamedAction,
    ParkedShortSignal,
    Parkings,
)
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.events import Offered
from offerlog_domain.identity import OfferKey


class MemoryShortSignals:
    """The application's `ParkedShortSignals`, with the look-up of actions; thread-safe.

    Args:
        lock: The lock of the log.
        action_time: See `Rules.named_action_time`.
    """

    def __init__(self, lock: threading.RLock, action_time: timedelta) -> None:
        self._lock = lock
        self._action_time = action_time
        self._actions: dict[NamedAction, dict[UUID, tuple[OfferKey, datetime]]] = {}
        self._parked: dict[int, ParkedShortSignal] = {}
        self._number = 0

    def find(self, actions: Collection[NamedAction]) -> Mapping[NamedAction, FoundAction]:
        """Return all these actions, as they are known now."""
        with self._lock:
            return {
                action: FoundAction(
                    [offer for offer, _ in self._actions.get(action, {}).values()],
                    {
                        one.signal.state.value: one.number
                        for one in self._parked.values()
                        if (one.organization, one.action_id) == action
                    },
                    sum(one.organization == action.organization for one in self._parked.values())
                    >= MAX_PARKED_SHORT_SIGNALS,
                )
                for action in actions
            }

    def can_store(self, parkings: Parkings) -> bool:
        """Return False if one of the signals that end to wait does not wait any more."""
        return self._parked.keys() >= {*parkings.ended}

    def store(self, parkings: Parkings) -> None:
        """Store the begin and the end of parkings."""
        waiting = {(one.organization, one.action_id, one.signal.state) for one in self._parked.values()}
        for one in parkings.begun:
            if (one.organization, one.action_id, one.signal.state) not in waiting:
                self._number += 1
                self._parked[self._number] = one._replace(number=self._number)
        for number in parkings.ended:
            del self._parked[number]

    def note_offer(self, recorded: RecordedEvent[Event], offer: OfferKey) -> None:
        """Note the action of an event that offers one, unless the offer is an old one."""
        event = recorded.event
        if isinstance(event, Offered) and event.occurred_at > event.recorded_at - self._action_time:
            action = NamedAction(event.organization, recorded.private.action_id)
            self._actions.setdefault(action, {})[offer.id] = offer, event.recorded_at

    def forget_visitor(self, digest: UUID) -> None:
        """Forget the actions of a visitor, and the signals that wait for them."""
        gone = {
            action
            for action, offers in self._actions.items()
            if any(offer.visitor_digest == digest for offer, _ in offers.values())
        }
        for action in gone:
            offers = self._actions.pop(action)
            kept = {key: one for key, one in offers.items() if one[0].visitor_digest != digest}
            if kept:
                self._actions[action] = kept
        self._parked = {
            number: one
            for number, one in self._parked.items()
            if NamedAction(one.organization, one.action_id) not in gone
        }

    def forget_organization(self, organization: str) -> None:
        """Forget the signals of an organization that wait."""
        self._parked = {n: one for n, one in self._parked.items() if one.organization != organization}

    def waiting(self, organization: str | None = None) -> Sequence[ParkedShortSignal]:
        """Return the signals of an organization that wait, in order of arrival; of all without one."""
        with self._lock:
            return [one for one in self._parked.values() if organization in {None, one.organization}]

    def known_actions(self, digest: UUID) -> Sequence[tuple[UUID, datetime]]:
        """Return the action map and the time of each action of a visitor that is found by its id."""
        with self._lock:
            every = [one for offers in self._actions.values() for one in offers.values()]
        return [(offer.action_map_id, at) for offer, at in every if offer.visitor_digest == digest]

    def due(
        self, parked_before: datetime, limit: int, besides: Collection[int] = (), *, most_offers: int = 1
    ) -> Sequence[ParkedShortSignal]:
        """Return short signals whose action is known by now, or that were parked up to a time."""
        with self._lock:
            due = [
                one
                for number, one in self._parked.items()
                if number not in besides
                and (
                    one.parked_at <= parked_before
                    or 1
                    <= len(self._actions.get(NamedAction(one.organization, one.action_id), ()))
                    <= most_offers
                )
            ]
        return due[:limit]

    def forget_actions(self, before: datetime) -> int:
        """Forget the actions whose offers were recorded before a time; returns their number."""
        forgotten = 0
        with self._lock:
            for action, offers in [*self._actions.items()]:
                kept = {key: one for key, one in offers.items() if one[1] >= before}
                forgotten += len(offers) - len(kept)
                if kept:
                    self._actions[action] = kept
                else:
                    del self._actions[action]
        return forgotten
