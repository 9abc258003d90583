"""Signals for tests of the whole store: every kind of journey, each id told by numbers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

DAY: Final = datetime(2025, 3, 10, 10, tzinfo=UTC)

JOURNEYS: Final = (
    ((1, "offered"), (1, "accepted"), (1, "started"), (1, "engaged")),
    ((1, "offered"), (1, "rejected")),
    ((1, "offered"), (1, "errored"), (2, "offered"), (2, "accepted"), (2, "rejected")),
    ((1, "offered"), (1, "timedout")),
    ((1, "offered"), (1, "ignored"), (2, "offered")),
    ((1, "started"),),
    ((1, "accepted"), (1, "offered"), (1, "started"), (1, "abandoned")),
)
"""Action and state of each step: the fifth ends in a refused offer, the sixth waits for its offer, the last
parks a signal and releases it."""


def an_id(*parts: object) -> str:
    """The same UUID for the same parts."""
    return str(uuid5(NAMESPACE_OID, repr(parts)))


def signal(state: str, *, visitor: object = 1, action: int = 1, **more: object) -> dict[str, object]:
    """A signal in the browser's form; `more` goes in by its wire names."""
    return {
        "actionId": an_id("action", visitor, action),
        "actionState": state,
        "actionMediaType": "webchat",
        "actionMapId": an_id("map"),
        "customerId": f"visitor-{visitor}",
        "sessionId": an_id("session", visitor),
        "eventId": an_id("event", visitor, action, state),
        "createdDate": DAY.isoformat(),
        **more,
    }


def journey(visitor: int) -> Iterator[dict[str, object]]:
    """One visitor's signals in order of arrival; seven neighbours go all seven ways, on three maps."""
    for step, (action, state) in enumerate(JOURNEYS[visitor % len(JOURNEYS)]):
        at = DAY + timedelta(seconds=37 * visitor + 600 * step)
        yield signal(
            state,
            visitor=visitor,
            action=action,
            actionMapId=an_id("map", visitor % 3),
            createdDate=at.isoformat(),
        )


def journeys(visitors: int) -> list[bytes]:
    """The signals of so many visitors as lines, each visitor's behind the one before."""
    return [json.dumps(one_signal).encode() for visitor in range(visitors) for one_signal in journey(visitor)]


def blocked_event(event: int, visitor: int, action_map: str, reason: str, **more: Any) -> dict[str, Any]:
    """The vendor's event of a blocked offer."""
    return {
        "id": an_id("blocked", event),
        "eventType": "com.genesys.journey.BlockedWebActionOfferEvent",
        "customerId": f"visitor-{visitor}",
        "session": {"id": an_id("session", visitor), "type": "web"},
        "blockedWebActionOfferEvent": {"actionMap": {"id": action_map}, "blockingReason": reason},
        **more,
    }
