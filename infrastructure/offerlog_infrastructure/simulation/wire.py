"""One signal as one line of NDJSON, in the vendor's browser form."""

import json
from typing import Final, NamedTuple

from offerlog_domain.lifecycle import State
from offerlog_infrastructure.simulation.action_maps import SimulatedMap

ERRORS: Final = tuple(
    f'"errorCode":{json.dumps(code)},"errorMessage":{json.dumps(message)}'
    for code, message in (
        ("00045", "Widget script could not be loaded"),
        ("00107", 'Form field "email" is missing'),
        ("CHAT_UNAVAILABLE", "No queue is open"),
        (503, "Deployment answered 503: Service Unavailable"),
        (1009, "Message too big\nconnection closed"),
    )
)
"""Errors of widgets; a code is text that keeps its zeros, or a number."""

NO_ERROR: Final = '"errorCode":null,"errorMessage":null'


class SimulatedSignal(NamedTuple):
    """One signal as it leaves the browser.

    Attributes:
        at: When it happened, as an instant of the period.
        created: The same instant as `createdDate` writes it.
        version: The version of the map that made the offer, for the whole action.
        error: The members `errorCode` and `errorMessage` as JSON.
    """

    at: int
    created: str
    event_id: str
    action_id: str
    state: str
    action_map: SimulatedMap
    version: int
    customer_id: str
    session_id: str
    error: str

    def line(self) -> str:
        """Return the signal in wire form, without a newline."""
        shown = self.action_map
        timeout = shown.timeout_seconds if shown.tells_timeout and self.state == State.OFFERED else "null"
        return (
            f'{{"actionId":"{self.action_id}","actionState":"{self.state}",'
            f'"actionMediaType":"{shown.lifecycle.media_type}","actionMapId":"{shown.id}",'
            f'"actionMapVersion":{self.version},'
            f'"customerId":"{self.customer_id}","customerIdType":"cookie","sessionId":"{self.session_id}",'
            f'{self.error},"eventId":"{self.event_id}","createdDate":"{self.created}",'
            f'"timeoutSeconds":{timeout},"actionMapName":{shown.name}}}'
        )
