"""The search for actions by their id alone, on all shards."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from offerlog_application.ports.shards import ShardUnavailableError
from offerlog_application.ports.short_signals import MOST_OFFERS_OF_ACTION, FoundAction, NamedAction
from offerlog_application.recording.short_signals import RecordShortSignal
from offerlog_application.sharding.ports_of_visitors import RoutedHistories
from offerlog_application.sharding.router import Router, Shard
from offerlog_application.sharding.side_by_side import ask_side_by_side
from offerlog_application.sharding.waiting_thread import WaitingThread
from offerlog_domain.identity import OfferKey
from offerlog_domain.visitor_offer import VisitorOffer, fold

_SECONDS: Final = 5.0
"""Seconds for which the shards may look for actions."""

_CLOSE_SECONDS: Final = 3.0


class FoundActions(NamedTuple):
    """The visitor-offers that have offered some actions lately, on all shards that have answered.

    Attributes:
        offers: The visitor-offers of each action, each once. More than `MOST_OFFERS_OF_ACTION` stand for any
            number.
        missing: The error of a shard that has not answered: it may know actions that the others do not know.
    """

    offers: Mapping[NamedAction, Sequence[OfferKey]]
    missing: ShardUnavailableError | None


class ActionSearch:
    """Finds actions on all shards; thread-safe.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._histories = RoutedHistories(router)

    def find(self, actions: Collection[NamedAction]) -> FoundActions:
        """Find these actions on all shards at once. While a slice moves, two may have the same offer."""
        asked = [*actions]

        def ask(shard: Shard) -> Mapping[NamedAction, FoundAction]:
            return shard.store.log.find_actions(asked)

        offers: dict[NamedAction, dict[object, OfferKey]] = {action: {} for action in asked}
        missing: ShardUnavailableError | None = None
        for answer in ask_side_by_side(self._router, ask, _SECONDS).values():
            if isinstance(answer, ShardUnavailableError):
                missing = answer
                continue
            for action, found in answer.items():
                offers[action].update((offer.id, offer) for offer in found.offers)
        return FoundActions({action: [*found.values()] for action, found in offers.items()}, missing)

    def choose(self, action: NamedAction, offers: Sequence[OfferKey]) -> OfferKey | None:
        """Return the visitor-offer to which a short signal belongs; None if nobody can say.

        Of several, it is the one in which the action is open, as where there is one store.

        Raises:
            ShardUnavailableError: The shard of one of several cannot be reached.
        """
        if len(offers) == 1:
            return offers[0]
        if not offers or len(offers) > MOST_OFFERS_OF_ACTION:
            return None
        opened = [
            offer
            for offer in offers
            if fold(self._histories.events(offer), VisitorOffer(offer.id)).is_open(action.action_id)
        ]
        return opened[0] if len(opened) == 1 else None


class _Waiting(NamedTuple):
    """Commands whose actions are looked for, and what is done with the answer."""

    commands: Sequence[RecordShortSignal]
    go_on: Callable[[Sequence[OfferKey | None]], None]
    fail: Callable[[BaseException], None]


class SearchThread(WaitingThread[_Waiting]):
    """Looks for the actions of short signals in its own thread, for all that wait at once; thread-safe.

    Args:
        search: Finds actions.
    """

    def __init__(self, search: ActionSearch) -> None:
        super().__init__("offerlog-short-signals", _CLOSE_SECONDS)
        self._search = search

    def add(
        self,
        commands: Sequence[RecordShortSignal],
        go_on: Callable[[Sequence[OfferKey | None]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Look for the visitor-offers of short signals.

        Args:
            commands: The short signals.
            go_on: Gets the visitor-offer of each, or None where no shard knows the action.
            fail: Gets an error instead: a shard has not answered, and the others do not know an action.
        """
        self._put(_Waiting(commands, go_on, fail))

    def _run(self) -> None:
        while waiting := self._take():
            try:
                found = self._search.find({command.action for one in waiting for command in one.commands})
            except Exception as error:  # noqa: BLE001 - belongs to those who wait
                for one in waiting:
                    one.fail(error)
                continue
            for one in waiting:
                try:
                    one.go_on([self._choose(command.action, found) for command in one.commands])
                except Exception as error:  # noqa: BLE001 - belongs to this one; the others go on
                    one.fail(error)

    def _choose(self, action: NamedAction, found: FoundActions) -> OfferKey | None:
        offer = self._search.choose(action, found.offers[action])
        if offer is None and found.missing is not None:
            raise found.missing
        return offer

    def _take(self) -> Sequence[_Waiting]:
        """Wait for work, and return all of it; nothing once this is closed."""
        with self._changed:
            while not self._is_closed and not self._waiting:
                self._changed.wait()  # without a limit: `_put` and `close` notify, under the same lock
            waiting, self._waiting = self._waiting, []
        return waiting
