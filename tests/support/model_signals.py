"""What the service and its model are told: drawn signals, often wrong, late, repeated or out of order."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from support.model import CHAT_ENDS, MINUTE, WITHHELD

VISITORS = [("v", "cookie"), ("v", "email"), ("v\0é", "cookie")]
MAPS = [str(UUID(int=n)) for n in (1, 2)]
ACTIONS = [str(UUID(int=n)) for n in (11, 12, 13)]
REPORTS = [str(UUID(int=n)) for n in range(21, 26)]
SESSIONS = [str(UUID(int=n)) for n in (31, 32)]
STATES = [
    "offered",
    "accepted",
    "started",
    *CHAT_ENDS,
    "errored",
    "offered",
    "accepted",
    "started",
    "errored",
]
LONG_AGO = -27 * 366 * 24 * 60  # before the year 2000
MOMENTS = [0, 0, -1, -5, -30, -31, -60, 5, 6, LONG_AGO]
WAITS = [MINUTE, 5 * MINUTE, 15 * MINUTE, 16 * MINUTE, 30 * MINUTE, timedelta(microseconds=1)]

SIGNAL = st.fixed_dictionaries(
    {
        "visitor": st.sampled_from(VISITORS),
        "map": st.sampled_from(MAPS),
        "action": st.sampled_from(ACTIONS),
        "state": st.sampled_from([*STATES, *STATES, "qualified", "qualified", *WITHHELD, "completed"]),
        "ago": st.none() | st.sampled_from(MOMENTS),
        "id": st.none() | st.none() | st.sampled_from(REPORTS),
        "session": st.sampled_from([SESSIONS[0]] * 4 + SESSIONS),
        "media": st.sampled_from(
            ["webchat"] * 9 + ["contentOffer"] * 3 + ["webMessagingOffer", "openAction"]
        ),
        "version": st.sampled_from([3, 3, 3, 4, None]),
        "code": st.sampled_from([None, None, "00045"]),
        "message": st.sampled_from([None, None, "no\0frame"]),
        "timeout": st.sampled_from([None, None, 60, 1800]),
        "name": st.sampled_from([None, None, "Checkout help", "Help"]),
        "broken": st.sampled_from([False] * 12 + [True]),
    }
)
WIRE = {
    "customer": "customerId", "kind": "customerIdType", "map": "actionMapId", "action": "actionId",
    "state": "actionState", "media": "actionMediaType", "id": "eventId", "session": "sessionId",
    "version": "actionMapVersion", "code": "errorCode", "message": "errorMessage",
    "timeout": "timeoutSeconds", "name": "actionMapName",
}  # fmt: skip


def signal_of(drawn: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A drawn signal as the model hears it, with the text that the service hears."""
    signal = {name: value for name, value in drawn.items() if name not in {"visitor", "ago", "broken"}}
    signal["customer"], signal["kind"] = drawn["visitor"]
    signal["at"] = None if drawn["ago"] is None else now + drawn["ago"] * MINUTE
    wire = {WIRE[name]: value for name, value in signal.items() if name in WIRE and value is not None}
    if signal["at"] is not None:
        wire["createdDate"] = signal["at"].isoformat()
    if drawn["broken"]:
        del wire["sessionId"]
        return {"raw": json.dumps(wire).encode()}
    return signal | {"raw": json.dumps(wire).encode()}
