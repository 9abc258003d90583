"""One signal in both wire forms, for tests of reading."""

from typing import Any

ID = "11111111-1111-4111-8111-11111111111a"

BROWSER: dict[str, Any] = {
    "actionId": ID,
    "actionState": "errored",
    "actionMediaType": "webchat",
    "actionMapId": ID[:-1] + "b",
    "actionMapVersion": 3,
    "customerId": "Visitor é",
    "customerIdType": "email",
    "sessionId": ID[:-1] + "c",
    "errorCode": "00045",
    "errorMessage": "no frame",
    "eventId": ID[:-1] + "d",
    "createdDate": "2026-11-22T10:00:00.123Z",
    "timeoutSeconds": 45,
    "actionMapName": "Checkout help",
}
REQUIRED = {
    name: BROWSER[name] for name in ("actionId", "actionState", "actionMapId", "customerId", "sessionId")
}

STORED: dict[str, Any] = {
    "id": ID[:-1] + "d",
    "eventType": "com.genesys.journey.WebActionEvent",
    "createdDate": "2026-11-22T10:00:00.123Z",
    "session": {"id": ID[:-1] + "c"},
    "customerId": "Visitor é",
    "customerIdType": "email",
    "webActionEvent": {
        "action": {"id": ID, "state": "errored", "mediaType": "webchat"},
        "actionMap": {"id": ID[:-1] + "b", "version": 3, "displayName": "Checkout help"},
        "errorCode": "00045",
        "errorMessage": "no frame",
    },
}

BLOCKED: dict[str, Any] = {
    "id": ID[:-1] + "e",
    "eventType": "com.genesys.journey.BlockedWebActionOfferEvent",
    "createdDate": "2026-11-22T10:00:00.123Z",
    "session": {"id": ID[:-1] + "c", "type": "web"},
    "customerId": "Visitor é",
    "customerIdType": "email",
    "blockedWebActionOfferEvent": {
        "action": {"id": ID, "mediaType": "webchat"},
        "actionMap": {"id": ID[:-1] + "b", "version": 3},
        "blockingReason": "FrequencyCapping",
    },
}
"""The vendor's event of an offer that was blocked."""
