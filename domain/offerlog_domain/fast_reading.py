"""The fast reading of signals in both wire forms. It accepts or declines; it never says what is wrong.

`signals.Signal` is the one description of a signal, and pydantic is the authority on it. The types below are
stricter and read a usual text in half of the time. What they accept, pydantic accepts with the same value;
`make fuzz-signals` tries that. What they decline is read by pydantic, so to decline costs time alone.

msgspec is laxer than pydantic in these points, and the guards below close them. It reads UUIDs without
hyphens and offsets without a colon, and rounds digits past the microsecond. Where it skips a value, it takes
text that is not UTF-8, any nesting, and numbers of any length.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, MsgspecError, Struct, convert
from msgspec.json import Decoder

from offerlog_domain.block_signals import NativeBlock, check_reason
from offerlog_domain.lifecycle import WEBCHAT
from offerlog_domain.signals import (
    COOKIE,
    MAX_MESSAGE_LENGTH,
    MAX_NAME_LENGTH,
    STATES,
    WIRE_NAMES,
    NativeSignal,
    parse_instant,
)
from offerlog_domain.uuids import UUID_LENGTH, parse_signal_ids

_LONGEST: Final = 4_096
"""Bytes of the longest text that is read fast. It has no room for more digits than Python converts."""

_SHORTEST_NESTED: Final = 600
"""Bytes of a text below which it cannot be nested too deeply: 201 pairs of brackets and the required members
take more."""

_MAX_BRACKETS: Final = 200
"""Most opening brackets of a text that is read fast: with so many it cannot be nested too deeply."""

_Id = Annotated[str, Meta(min_length=UUID_LENGTH, max_length=UUID_LENGTH)]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
_Label = Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]
_Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


_TimeoutSeconds = Annotated[int, Meta(ge=1, le=86400)]
_Message = Annotated[str, Meta(max_length=MAX_MESSAGE_LENGTH)]


class _BrowserForm(Struct, rename={**WIRE_NAMES, "event_type": "eventType"}, frozen=True, gc=False):
    """The browser form as it is usually sent. Ids and time are text, so that their spelling is checked."""

    action_id: _Id
    state: str
    action_map_id: _Id
    customer_id: _Name
    session_id: _Id
    media_type: _Name = WEBCHAT.media_type
    action_map_version: _Integer | None = None
    customer_id_type: _Name = COOKIE
    error_code: _Label | _Integer | None = None
    error_message: _Message | None = None
    event_id: _Id | None = None
    occurred_at: str | None = None
    timeout_seconds: _TimeoutSeconds | None = None
    action_map_name: _Label | None = None
    event_type: None = None
    """Given, it may say that this is the stored form, or another event of the vendor."""


class _StoredSession(Struct, frozen=True, gc=False):
    id: _Id


class _StoredAction(Struct, rename="camel", frozen=True, gc=False):
    id: _Id
    state: str
    media_type: _Name = WEBCHAT.media_type


class _StoredActionMap(Struct, rename="camel", frozen=True, gc=False):
    id: _Id
    version: _Integer | None = None
    display_name: _Label | None = None


class _StoredWebActionEvent(Struct, rename="camel", frozen=True, gc=False):
    action: _StoredAction
    action_map: _StoredActionMap
    error_code: _Label | _Integer | None = None
    error_message: _Message | None = None


class _StoredForm(Struct, rename="camel", frozen=True, gc=False):
    """The vendor's stored form as it usually comes."""

    event_type: Literal["com.genesys.journey.WebActionEvent", "WebActionEvent"]
    customer_id: _Name
    session: _StoredSession
    web_action_event: _StoredWebActionEvent
    id: _Id | None = None
    customer_id_type: _Name = COOKIE
    created_date: str | None = None

    def to_browser_form(self) -> _BrowserForm:
        """Return the same signal in the browser form."""
        event = self.web_action_event
        return _BrowserForm(
            action_id=event.action.id,
            state=event.action.state,
            action_map_id=event.action_map.id,
            customer_id=self.customer_id,
            session_id=self.session.id,
            media_type=event.action.media_type,
            action_map_version=event.action_map.version,
            customer_id_type=self.customer_id_type,
            error_code=event.error_code,
            error_message=event.error_message,
            event_id=self.id,
            occurred_at=self.created_date,
            action_map_name=event.action_map.display_name,
        )


class _BlockedAction(Struct, rename="camel", frozen=True, gc=False):
    id: _Id | None = None
    media_type: _Name | None = None


class _BlockedActionMap(Struct, frozen=True, gc=False):
    id: _Id
    version: _Integer | None = None


class _BlockedOfferEvent(Struct, rename="camel", frozen=True, gc=False):
    action_map: _BlockedActionMap
    blocking_reason: _Name
    action: _BlockedAction | None = None


class _BlockedForm(Struct, rename="camel", frozen=True, gc=False):
    """The vendor's event of a blocked offer as it usually comes."""

    event_type: Literal["com.genesys.journey.BlockedWebActionOfferEvent", "BlockedWebActionOfferEvent"]
    id: _Id
    customer_id: _Name
    blocked_web_action_offer_event: _BlockedOfferEvent
    customer_id_type: _Name = COOKIE
    created_date: str | None = None
    action_id: None = None
    """Given, it says that this is the browser form."""


_decode_browser_form: Final = Decoder(_BrowserForm).decode
_decode_stored_form: Final = Decoder(_StoredForm).decode
_decode_blocked_form: Final = Decoder(_BlockedForm).decode


def read_fast(text: bytes) -> NativeSignal | None:
    """Read the text of a usual signal; None for any other text, whether or not it is valid."""
    if not _is_usual(text):
        return None
    try:
        if not text.isascii():
            text.decode()
        if b"ebActionEvent" in text:
            return _to_native(_decode_stored_form(text).to_browser_form())
        return _to_native(_decode_browser_form(text))
    except _DECLINED:
        return None


def convert_fast(document: object) -> NativeSignal | None:
    """Convert the decoded object of a usual signal; None for any other object, whether or not it is valid."""
    try:
        if isinstance(document, Mapping) and document.get("eventType") is not None:
            form = convert(document, _StoredForm).to_browser_form()
        else:
            form = convert(document, _BrowserForm)
        _check_characters(form)
        return _to_native(form)
    except _DECLINED:
        return None


def read_block_fast(text: bytes) -> NativeBlock | None:
    """Read the text of a usual event of a blocked offer; None for any other text, valid or not."""
    if b"ebActionOfferEvent" not in text or not _is_usual(text):
        return None
    try:
        if not text.isascii():
            text.decode()
        return _to_native_block(_decode_blocked_form(text))
    except _DECLINED:
        return None


def convert_block_fast(document: object) -> NativeBlock | None:
    """Convert the decoded object of a usual event of a blocked offer; None for any other object."""
    try:
        form = convert(document, _BlockedForm)
        form.customer_id.encode(), form.customer_id_type.encode()
        return _to_native_block(form)
    except _DECLINED:
        return None


_DECLINED: Final = (MsgspecError, ValueError, KeyError, RecursionError)
"""Errors for which a signal is declined. They are not faults yet: pydantic decides."""


def _is_usual(text: bytes) -> bool:
    """Return False for a text that is long, or that may be nested too deeply."""
    length = len(text)
    return length <= _LONGEST and (
        length < _SHORTEST_NESTED or text.count(b"[") + text.count(b"{") <= _MAX_BRACKETS
    )


def _check_characters(form: _BrowserForm) -> None:
    """Look for lone surrogates, which a decoded text cannot hold and a caller's own text can.

    Raises:
        UnicodeEncodeError: A text holds one.
    """
    for text in (
        form.customer_id,
        form.customer_id_type,
        form.media_type,
        form.error_code,
        form.error_message,
        form.action_map_name,
    ):
        if isinstance(text, str) and not text.isascii():
            text.encode()


def _to_native(form: _BrowserForm) -> NativeSignal:
    """Convert what is still text.

    Raises:
        MsgspecError: An id is not a UUID.
        ValueError: The time is not RFC 3339.
        KeyError: No state is spelled so.
    """
    action_id, action_map_id, session_id, event_id = parse_signal_ids(
        form.action_id, form.action_map_id, form.session_id, form.event_id
    )
    code, occurred_at = form.error_code, form.occurred_at
    return NativeSignal(
        action_id=action_id,
        state=STATES[form.state],
        media_type=form.media_type,
        action_map_id=action_map_id,
        action_map_version=form.action_map_version,
        customer_id=form.customer_id,
        customer_id_type=form.customer_id_type,
        session_id=session_id,
        error_code=str(code) if isinstance(code, int) else code,
        error_message=form.error_message,
        event_id=event_id,
        occurred_at=None if occurred_at is None else parse_instant(occurred_at),
        timeout_seconds=form.timeout_seconds,
        action_map_name=form.action_map_name,
    )


def _to_native_block(form: _BlockedForm) -> NativeBlock:
    """Convert what is still text; the errors are those of `_to_native`."""
    event = form.blocked_web_action_offer_event
    action = event.action or _NO_ACTION
    if action.media_type is not None:
        action.media_type.encode()
    ids = parse_signal_ids(form.id, event.action_map.id, action.id or form.id, None)
    return NativeBlock(
        event_id=ids[0],
        action_map_id=ids[1],
        action_map_version=event.action_map.version,
        media_type=action.media_type,
        action_id=None if action.id is None else ids[2],
        reason=check_reason(event.blocking_reason),
        customer_id=form.customer_id,
        customer_id_type=form.customer_id_type,
        occurred_at=None if form.created_date is None else parse_instant(form.created_date),
    )


_NO_ACTION: Final = _BlockedAction()
