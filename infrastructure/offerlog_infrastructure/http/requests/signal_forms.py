"""Wire forms of a signal, as the OpenAPI document shows them.

The domain reads signals (`offerlog_domain.wire`). These models only describe the forms to callers, and
type the examples. A null stands for an optional field that is left out, and unknown fields are ignored.
"""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from offerlog_domain.block_signals import BLOCKED_EVENT_TYPES
from offerlog_domain.wire import STORED_FORM_EVENT_TYPES
from offerlog_infrastructure.presentation.json_types import (
    AnyStateName,
    Integer,
    Name,
    Time,
    TimeoutSeconds,
    Uuid,
)

_MediaType = Annotated[Name, Meta(extra_json_schema={"default": "webchat"})]
_CustomerIdType = Annotated[Name, Meta(extra_json_schema={"default": "cookie"})]
_StoredEventType = Annotated[str, Meta(extra_json_schema={"enum": sorted(STORED_FORM_EVENT_TYPES)})]

_BlockedEventType = Annotated[str, Meta(extra_json_schema={"enum": sorted(BLOCKED_EVENT_TYPES)})]


class Signal(TypedDict):
    """Report that an action reached a state, in the vendor's browser form.

    Attributes:
        actionId: The action.
        actionState: The state that it reached.
        actionMapId: The action map.
        customerId: The visitor.
        sessionId: The visit.
        actionMediaType: Media type of the offer.
        actionMapVersion: Version of the action map.
        actionMapName: Display name of the action map.
        customerIdType: Type of the visitor's id.
        eventId: The sender's id of this event.
        createdDate: When it happened; if absent, the moment at which it is decided.
        timeoutSeconds: Seconds until an unanswered invitation times out.
        errorCode: The widget's error code.
        errorMessage: The widget's error message.
    """

    actionId: Uuid
    actionState: AnyStateName
    actionMapId: Uuid
    customerId: Name
    sessionId: Uuid
    actionMediaType: NotRequired[_MediaType | None]
    actionMapVersion: NotRequired[Integer | None]
    actionMapName: NotRequired[str | None]
    customerIdType: NotRequired[_CustomerIdType | None]
    eventId: NotRequired[Uuid | None]
    createdDate: NotRequired[Time | None]
    timeoutSeconds: NotRequired[TimeoutSeconds | None]
    errorCode: NotRequired[str | float | None]
    errorMessage: NotRequired[str | None]


class StoredSession(TypedDict):
    """Visit in the stored form.

    Attributes:
        id: The visit.
    """

    id: Uuid


class StoredAction(TypedDict):
    """Action in the stored form.

    Attributes:
        id: The action.
        state: The state that it reached.
        mediaType: Media type of the offer.
    """

    id: Uuid
    state: AnyStateName
    mediaType: NotRequired[Name | None]


class StoredActionMap(TypedDict):
    """Action map in the stored form.

    Attributes:
        id: The action map.
        version: Version of the action map.
        displayName: Display name of the action map.
    """

    id: Uuid
    version: NotRequired[Integer | None]
    displayName: NotRequired[str | None]


class StoredWebActionEvent(TypedDict):
    """Part of the stored form that tells of the action.

    Attributes:
        action: The action.
        actionMap: The action map.
        errorCode: The widget's error code.
        errorMessage: The widget's error message.
    """

    action: StoredAction
    actionMap: StoredActionMap
    errorCode: NotRequired[str | float | None]
    errorMessage: NotRequired[str | None]


class StoredSignal(TypedDict):
    """Report that an action reached a state, in the vendor's stored form.

    Attributes:
        eventType: The vendor's name of the event.
        customerId: The visitor.
        session: The visit.
        webActionEvent: The action and its state.
        id: The vendor's id of this event.
        customerIdType: Type of the visitor's id.
        createdDate: When it happened; if absent, the moment at which it is decided.
    """

    eventType: _StoredEventType
    customerId: Name
    session: StoredSession
    webActionEvent: StoredWebActionEvent
    id: NotRequired[Uuid | None]
    customerIdType: NotRequired[_CustomerIdType | None]
    createdDate: NotRequired[Time | None]


class BlockedAction(TypedDict):
    """Invitation that was not shown.

    Attributes:
        id: The action.
        mediaType: The vendor's media type; null where it is not known.
    """

    id: NotRequired[Uuid | None]
    mediaType: NotRequired[Name | None]


class BlockedActionMap(TypedDict):
    """Action map whose offer was blocked.

    Attributes:
        id: The action map.
        version: Version of the action map.
    """

    id: Uuid
    version: NotRequired[Integer | None]


class BlockedWebActionOfferEvent(TypedDict):
    """Part of the vendor's event that tells of the blocked offer.

    Attributes:
        actionMap: The action map.
        blockingReason: The vendor's reason, as it is. With a widget key, one that it has today.
        action: The invitation.
    """

    actionMap: BlockedActionMap
    blockingReason: Name
    action: NotRequired[BlockedAction | None]


class BlockedSignal(TypedDict):
    """Report that the vendor has blocked an offer: its event of a blocked offer.

    Attributes:
        eventType: The vendor's name of the event.
        id: The vendor's id of this event; the same id again counts once.
        customerId: The visitor.
        blockedWebActionOfferEvent: The action map and the reason.
        customerIdType: Type of the visitor's id.
        createdDate: When it happened; if absent, the moment at which it is counted.
    """

    eventType: _BlockedEventType
    id: Uuid
    customerId: Name
    blockedWebActionOfferEvent: BlockedWebActionOfferEvent
    customerIdType: NotRequired[_CustomerIdType | None]
    createdDate: NotRequired[Time | None]


class ShortSignal(TypedDict):
    """Report that an action reached a state, as the vendor's client makes it; its action says the rest.

    Attributes:
        actionId: The action. It was offered in the last two hours, or it is offered soon.
        actionState: The state that it reached.
        sessionId: The visit.
        errorCode: The vendor's error code.
        errorMessage: The error in words.
        id: The sender's id of this event; `eventId` is the same.
    """

    actionId: Uuid
    actionState: AnyStateName
    sessionId: Uuid
    errorCode: NotRequired[str | float | None]
    errorMessage: NotRequired[str | None]
    id: NotRequired[Uuid | None]
