"""Blocked offers: one as it is counted, and the tallies that a log keeps of many (docs/decisions/0056)."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_domain.identity import BlockKey, OfferKey
from offerlog_domain.service_events import BlockedTally

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER_HOUR: Final = timedelta(minutes=15)


class BlockedOffer(NamedTuple):
    """An offer that was blocked, and that no `OfferRefused` counts.

    Attributes:
        offer: The visitor-offer.
        reason: The reason, as in a `BlockedTally`.
        at: The time at which it was blocked, UTC.
        recorded_at: The time at which it is counted, by the service's clock, UTC.
        media_type: The vendor's `actionMediaType`; None where it is not known.
        action_map_version: The map's version; None where it is not known.
        key: Its name, if it may be reported again. Such an offer is counted only once.
    """

    offer: OfferKey
    reason: str
    at: datetime
    recorded_at: datetime
    media_type: str | None = None
    action_map_version: int | None = None
    key: BlockKey | None = None


class _TallyKey(NamedTuple):
    organization: str
    action_map_id: UUID
    reason: str
    quarter_hour: datetime
    media_type: str | None
    action_map_version: int | None


def tally_blocked(offers: Collection[BlockedOffer]) -> Sequence[BlockedTally]:
    """Count blocked offers by organization, map, reason, quarter-hour, media type and version of the map.

    Every offer that is given counts, also one whose name was counted before.
    """
    if not offers:
        return []
    counts = Counter(map(_find_tally, offers))
    now = max(one.recorded_at for one in offers)
    return [BlockedTally(**key._asdict(), recorded_at=now, blocked=number) for key, number in counts.items()]


def count_tallies(offers: Collection[BlockedOffer]) -> int:
    """Count the events that `tally_blocked` makes of these offers."""
    return len(set(map(_find_tally, offers)))


def _find_tally(one: BlockedOffer) -> _TallyKey:
    quarter_hour = one.at - (one.at - _EPOCH) % _QUARTER_HOUR
    offer, version = one.offer, one.action_map_version
    return _TallyKey(
        offer.organization, offer.action_map_id, one.reason, quarter_hour, one.media_type, version
    )
