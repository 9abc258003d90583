"""A short signal: the vendor's client names the action, its state and the session, and nothing else.

It is the body of the vendor's `POST .../journey/deployments/{id}/actionevent`. It says neither whose the
action is nor which map made it, and it has no time. `ShortSignal.complete` adds the rest, which the events
of the action have. A document that has any other field of a signal is no short signal.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from offerlog_domain.block_signals import NativeBlock
from offerlog_domain.lifecycle import WEBCHAT, State
from offerlog_domain.signals import (
    STRICT,
    WIRE_NAMES,
    AnyState,
    Label,
    MalformedSignalError,
    Message,
    NativeSignal,
    Uuid,
    describe_fault,
)
from offerlog_domain.uuids import parse_signal_ids
from offerlog_domain.wire import any_signal_from_document, parse_document, pick_fields, read_any_signal

_FIELDS: Final = ("actionId", "actionState", "sessionId", "errorCode", "errorMessage", "eventId")
_ABSENT: Final = ({*WIRE_NAMES.values()} - {*_FIELDS}) | {"eventType", "eventBody", "webActionEvent"}
"""Fields of other forms: with any of them, a document is not a short signal."""

_VENDORS_EVENT_ID: Final = "id"
"""The name that the vendor has for the event id; ours wins."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ShortSignal:
    """A valid short signal. The attributes have the meaning that they have in `Signal`."""

    action_id: Uuid
    state: AnyState
    session_id: Uuid
    error_code: Label | None = None
    error_message: Message | None = None
    event_id: Uuid | None = None

    @property
    def rank(self) -> int:
        """The place in the lifecycle order of a web chat offer: the media type is not known."""
        return WEBCHAT.rank(self.state) if isinstance(self.state, State) else 0

    def complete(self, action_map_id: UUID, media_type: str, action_map_version: int | None) -> NativeSignal:
        """Return the whole signal, with what is known of its action: its map, the map's version, media type.

        The customer of the result is empty: a visitor-offer is known by its name.
        """
        action_id, _, session_id, event_id = parse_signal_ids(
            self.action_id, self.action_id, self.session_id, self.event_id
        )
        return NativeSignal(
            action_id=action_id,
            state=self.state,
            media_type=media_type,
            action_map_id=action_map_id,
            action_map_version=action_map_version,
            customer_id="",
            customer_id_type="",
            session_id=session_id,
            error_code=self.error_code,
            error_message=self.error_message,
            event_id=event_id,
            occurred_at=None,
            timeout_seconds=None,
            action_map_name=None,
        )


SHORT_SIGNAL: Final = TypeAdapter(ShortSignal)
"""Validates short signals."""


def read_whole_or_short(text: bytes) -> NativeSignal | NativeBlock | ShortSignal:
    """Read a signal as `wire.read_any_signal` does, or a short signal.

    Raises:
        MalformedSignalError: Names the field at fault, and the reason.
        UntrackedEventError: It is another event of the vendor.
    """
    try:
        return read_any_signal(text)
    except MalformedSignalError as error:
        short = _validate(parse_document(text)) if _may_be_short(error) else None
        if short is None:
            raise
        return short


def whole_or_short_from_document(
    document: Mapping[str, object],
) -> NativeSignal | NativeBlock | ShortSignal:
    """Read a signal, as `read_whole_or_short` does, from decoded JSON.

    Raises:
        MalformedSignalError: Names the field at fault, and the reason.
        UntrackedEventError: It is another event of the vendor.
    """
    try:
        return any_signal_from_document(document)
    except MalformedSignalError as error:
        short = _validate(document) if _may_be_short(error) else None
        if short is None:
            raise
        return short


def _may_be_short(error: MalformedSignalError) -> bool:
    """Return True if a text lacks a valid map: that is the first field that a short signal lacks."""
    return error.field == WIRE_NAMES["action_map_id"]


def _validate(document: object) -> ShortSignal | None:
    """Return the short signal of a document; None if it is not one.

    Raises:
        MalformedSignalError: It is one, and a field is not valid.
    """
    if not isinstance(document, Mapping) or any(document.get(name) is not None for name in _ABSENT):
        return None
    fields = pick_fields(document, _FIELDS)
    event_id = document.get(_VENDORS_EVENT_ID)
    if event_id is not None:
        fields.setdefault(WIRE_NAMES["event_id"], event_id)
    short = object.__new__(ShortSignal)
    try:
        SHORT_SIGNAL.validator.validate_python(
            ArgsKwargs((), fields), self_instance=short, by_alias=True, by_name=False
        )
    except ValidationError as error:
        field = str(error.errors(include_url=False)[0]["loc"][0])
        if field == WIRE_NAMES["event_id"] and document.get(field) is None:
            field = _VENDORS_EVENT_ID
        raise MalformedSignalError(field, describe_fault(error)) from None
    return short
