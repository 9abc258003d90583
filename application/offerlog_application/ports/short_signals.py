"""The ports of short signals: the look-up of actions by their id alone, and the signals that wait."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from offerlog_domain.identity import OfferKey
from offerlog_domain.short_signals import ShortSignal

MAX_PARKED_SHORT_SIGNALS: Final = 10_000
"""The most short signals of an organization that wait. Anybody may send some who has a widget key."""

MOST_OFFERS_OF_ACTION: Final = 8
"""The most visitor-offers with one action id among which the open action is looked for. An id is meant to be
unique; a sender that uses one id for all its visitors must not make each short signal load them all."""


class NamedAction(NamedTuple):
    """An action of an organization, named by its id alone."""

    organization: str
    action_id: UUID


class FoundAction(NamedTuple):
    """The result of the look-up of an action.

    Attributes:
        offers: The visitor-offers that have offered an action of that id lately. More than
            `MOST_OFFERS_OF_ACTION` stand for any number.
        parked: The numbers of the short signals that wait for the action, by state.
        is_crowded: True if no more short signals of the organization may wait.
    """

    offers: Sequence[OfferKey] = ()
    parked: Mapping[str, int] = {}
    is_crowded: bool = False


class ParkedShortSignal(NamedTuple):
    """A short signal that waits for its action.

    Attributes:
        organization: The tenant.
        action_id: The action.
        signal: The signal.
        parked_at: The time at which it came, by the service's clock.
        raw: The text as it came, cut at `KEPT_TEXT_BYTES`.
        raw_length: Bytes of the text that came, where `raw` is cut; None where all of it is kept.
        number: Its number in the store; 0 before it is stored.
    """

    organization: str
    action_id: UUID
    signal: ShortSignal
    parked_at: datetime
    raw: bytes
    raw_length: int | None
    number: int = 0


class Parkings(NamedTuple):
    """The short signals that begin or end to wait with an append.

    Attributes:
        begun: Those that wait from now on. One whose action and state wait already is left out.
        ended: The numbers of those that wait no longer. Each must still wait.
    """

    begun: Sequence[ParkedShortSignal] = ()
    ended: Sequence[int] = ()

    @property
    def are_none(self) -> bool:
        """True if there are none."""
        return not self.begun and not self.ended


NO_PARKINGS: Final = Parkings()


class ParkedShortSignals(Protocol):
    """The short signals that wait, of all organizations; thread-safe."""

    def due(
        self, parked_before: datetime, limit: int, besides: Collection[int] = (), *, most_offers: int = 1
    ) -> Sequence[ParkedShortSignal]:
        """Return short signals whose action is known by now, or that were parked up to a time.

        The order is that of their arrival.

        Args:
            parked_before: That time.
            limit: The most signals to return.
            besides: Numbers of signals to leave out.
            most_offers: The most visitor-offers that may have offered the action; one that more have offered
                is not known.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def forget_actions(self, before: datetime) -> int:
        """Forget the actions whose offers were recorded before a time: no short signal finds them any more.

        Returns:
            Their number.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
