"""The fast reading of signals in the browser form. It accepts or declines; it never says what is wrong.

`signals.Signal` is the one description of a signal, and pydantic is the authority on it. The types below are
stricter and read a usual text in a third of the time. What they accept, pydantic accepts with the same value;
`make fuzz-signals` tries that. What they decline is read by pydantic, so to decline costs time alone.

msgspec is laxer than pydantic in these points, and the guards below close them. It reads UUIDs without
hyphens and offsets without a colon, and rounds digits past the microsecond. Where it skips a value, it takes
text that is not UTF-8, any nesting, and numbers of any length.
"""

from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, MsgspecError, Struct, convert
from msgspec.json import Decoder

from offerlog_domain.lifecycle import WEBCHAT
from offerlog_domain.signals import (
    MAX_NAME_LENGTH,
    STATES,
    WIRE_NAMES,
    NativeSignal,
    parse_instant,
)
from offerlog_domain.uuids import UUID_LENGTH

_LONGEST: Final = 4_096
"""Bytes of the longest text that is read fast: no number in it has more digits than Python converts."""

_SHORTEST_NESTED: Final = 600
"""Bytes of a text below which it cannot be nested too deeply: 201 pairs of brackets and the required members
take more."""

_MAX_BRACKETS: Final = 200
"""Most opening brackets of a text that is read fast: with so many it cannot be nested too deeply."""

_Id = Annotated[str, Meta(min_length=UUID_LENGTH, max_length=UUID_LENGTH)]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
_Label = Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]
_Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _BrowserForm(Struct, rename={**WIRE_NAMES, "event_type": "eventType"}, frozen=True, gc=False):
    """The browser form as it is usually sent. Ids and time are text, so that their spelling is checked."""

    action_id: _Id
    state: str
    action_map_id: _Id
    customer_id: _Name
    session_id: _Id
    media_type: _Name = WEBCHAT.media_type
    action_map_version: _Integer | None = None
    customer_id_type: _Name = "cookie"
    error_code: _Label | _Integer | None = None
    error_message: str | None = None
    event_id: _Id | None = None
    occurred_at: str | None = None
    timeout_seconds: Annotated[int, Meta(ge=1, le=86400)] | None = None
    action_map_name: _Label | None = None
    event_type: None = None
    """Given, it may say that this is the stored form, or another event of the vendor."""


class _Ids(Struct, array_like=True, frozen=True, gc=False):
    """The ids of a signal, to be converted together: one by one they take twice as long."""

    action_id: UUID
    action_map_id: UUID
    session_id: UUID
    event_id: UUID | None


_decode: Final = Decoder(_BrowserForm).decode


def read_fast(text: bytes) -> NativeSignal | None:
    """Read the text of a usual signal; None for any other text, whether or not it is valid."""
    length = len(text)
    if length > _LONGEST or (length >= _SHORTEST_NESTED and _count_brackets(text) > _MAX_BRACKETS):
        return None
    try:
        if not text.isascii():
            text.decode()
        return _to_native(_decode(text))
    except (
        MsgspecError,
        ValueError,
        KeyError,
        RecursionError,
    ):  # pydantic says what it is, if it is a fault at all
        return None


def _count_brackets(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _to_native(form: _BrowserForm) -> NativeSignal:
    """Convert what is still text.

    Raises:
        MsgspecError: An id is not a UUID.
        ValueError: The time is not RFC 3339.
        KeyError: No state is spelled so.
    """
    ids = convert((form.action_id, form.action_map_id, form.session_id, form.event_id), _Ids)
    code, occurred_at = form.error_code, form.occurred_at
    return NativeSignal(
        action_id=ids.action_id,
        state=STATES[form.state],
        media_type=form.media_type,
        action_map_id=ids.action_map_id,
        action_map_version=form.action_map_version,
        customer_id=form.customer_id,
        customer_id_type=form.customer_id_type,
        session_id=ids.session_id,
        error_code=str(code) if isinstance(code, int) else code,
        error_message=form.error_message,
        event_id=ids.event_id,
        occurred_at=None if occurred_at is None else parse_instant(occurred_at),
        timeout_seconds=form.timeout_seconds,
        action_map_name=form.action_map_name,
    )
