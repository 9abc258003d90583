"""The action maps of the simulated site, with different popularity and acceptance."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from offerlog_domain.lifecycle import LIFECYCLES, Lifecycle
from offerlog_infrastructure.simulation.chance import Chance, Weighted
from offerlog_infrastructure.simulation.journey import Ways, ways
from offerlog_infrastructure.simulation.period import DAY

NAMES: Final = (
    "Checkout help",
    "Pricing questions",
    "Delivery and returns",
    "Abandoned basket",
    "Product advice",
    'Plans "Basic" and "Pro"',
    "Account and billing",
    "Book a demo",
    "Warranty claims",
    "Rückfragen zur Bestellung",
    "Student discount",
    "Technical support",
    "Gift cards",
    "Store finder",
)

TIMEOUTS: Final = (30, 45, 60, 90, 120)
TELLING_ROUNDS: Final = 2
"""Of the maps that the site has of each media type, every second one reports what comes before an offer."""

VERSION_CHANGES: Final = 0.4
"""The share of maps that get a new version on some later day."""


@dataclass(frozen=True, slots=True)
class SimulatedMap:
    """One rule that makes offers.

    Attributes:
        id: Its UUID.
        name: Its display name as JSON text, quoted and escaped.
        version: Its version on the first day.
        changed_at: The instant from which the version is one higher; None for never.
        timeout_seconds: The time after which the widget withdraws the invitation.
        tells_timeout: Whether its `offered` carries `timeoutSeconds`, so that the service keeps the deadline.
        paths: The first states of its actions, and the next ones of each, with this map's acceptance.
        lifecycle: The table of its media type.
    """

    id: str
    name: str
    version: int
    changed_at: int | None
    timeout_seconds: int
    tells_timeout: bool
    paths: Ways
    lifecycle: Lifecycle

    def version_at(self, instant: int) -> int:
        """Return the version in force at `instant`."""
        return self.version + (self.changed_at is not None and instant >= self.changed_at)


def action_maps(chance: Chance, count: int, days: int, media_types: Sequence[str]) -> Weighted[SimulatedMap]:
    """Make `count` maps, weighted by popularity; they have the media types in turn."""
    tables = [LIFECYCLES[one] for one in media_types]
    return Weighted(
        [(_action_map(chance, place, days, tables), 1 / (1 + 0.4 * place)) for place in range(count)]
    )


def _action_map(chance: Chance, place: int, days: int, tables: Sequence[Lifecycle]) -> SimulatedMap:
    round_, name = divmod(place, len(NAMES))
    lifecycle = tables[place % len(tables)]
    tells_qualified = place // len(tables) % TELLING_ROUNDS == 0
    changes = chance.happens(VERSION_CHANGES) and days > 1
    return SimulatedMap(
        id=chance.uuid(),
        name=json.dumps(f"{NAMES[name]} {round_ + 1}" if round_ else NAMES[name]),
        version=chance.between(1, 6),
        changed_at=chance.between(1, days) * DAY if changes else None,
        timeout_seconds=chance.one_of(TIMEOUTS),
        tells_timeout=place % 3 < 2,  # noqa: PLR2004 (two maps in three)
        paths=ways(lifecycle, 0.5 + 1.3 * chance.share(), tells_qualified=tells_qualified),
        lifecycle=lifecycle,
    )
