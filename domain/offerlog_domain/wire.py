"""Reading signals: the vendor's two wire forms, and what is wrong with what is neither."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Never

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ArgsKwargs

from offerlog_domain.signals import (
    MAX_LINE_BYTES,
    SIGNAL,
    MalformedSignalError,
    Name,
    Signal,
    UntrackedEventError,
    Uuid,
)

STORED_FORM_EVENT_TYPES: Final = frozenset({"com.genesys.journey.WebActionEvent", "WebActionEvent"})
"""The vendor's `eventType` of its stored form."""

_STORED_FORM_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "actionId": ("webActionEvent", "action", "id"),
    "actionState": ("webActionEvent", "action", "state"),
    "actionMediaType": ("webActionEvent", "action", "mediaType"),
    "actionMapId": ("webActionEvent", "actionMap", "id"),
    "actionMapVersion": ("webActionEvent", "actionMap", "version"),
    "actionMapName": ("webActionEvent", "actionMap", "displayName"),
    "errorCode": ("webActionEvent", "errorCode"),
    "errorMessage": ("webActionEvent", "errorMessage"),
    "sessionId": ("session", "id"),
    "customerId": ("customerId",),
    "customerIdType": ("customerIdType",),
    "eventId": ("id",),
    "createdDate": ("createdDate",),
}

_DEEPEST: Final = 200
"""How deep a signal may be nested: as deep as the fast reading goes, whatever the caller's stack leaves."""

_BRACKET_OR_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)

_fill: Final = SIGNAL.validator.validate_python
_read_json: Final[Callable[..., Signal]] = SIGNAL.validator.validate_json


def read_signal(text: bytes) -> Signal:
    """Read one signal in either wire form.

    Raises:
        MalformedSignalError: Saying which field and why.
        UntrackedEventError: It is another event of the vendor.
    """
    if len(text) > MAX_LINE_BYTES:
        raise MalformedSignalError(None, f"longer than {MAX_LINE_BYTES // 1024} KiB")
    # The stored form, and numbers that are no JSON but that the fast reading takes, go the slow way.
    if not (b"ebActionEvent" in text or b"NaN" in text or b"Infinity" in text):
        try:
            return _read_json(text, by_alias=True, by_name=False)
        except ValidationError:
            pass  # the slow reading below takes nulls and numbers for text, and finds what is wrong
    return signal_from_document(_document(text))


def signal_from_document(document: object) -> Signal:
    """Read a signal from decoded JSON in either wire form.

    Raises:
        MalformedSignalError: Saying which field and why.
        UntrackedEventError: It is another event of the vendor.
    """
    if not isinstance(document, Mapping):
        raise MalformedSignalError(None, "a JSON object is needed")
    event_type = document.get("eventType")
    stored_form = isinstance(event_type, str) and event_type in STORED_FORM_EVENT_TYPES
    if not stored_form and document.get("actionId") is None:
        _check_kind(document, event_type)
    fields = _flattened(document) if stored_form else document
    told = {name: value for name, value in fields.items() if value is not None}
    code = told.get("errorCode")
    if isinstance(code, _Fraction):
        told["errorCode"] = code.written
    elif isinstance(code, int | float) and not isinstance(code, bool):
        told["errorCode"] = str(code)
    signal = object.__new__(Signal)  # strict reading fills one; it makes none of a mapping
    try:
        _fill(ArgsKwargs((), told), self_instance=signal, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0])
        if stored_form:
            field = ".".join(_STORED_FORM_PATHS.get(field, (field,)))
        raise MalformedSignalError(field, _cause(first)) from None
    return signal


_WRAPPERS: Final[Mapping[str, str]] = {
    "eventBody": "this is a notification of the vendor's: send what is inside eventBody as the signal",
    "entities": "this is a page of the vendor's API: send each element of entities as a signal of its own",
}
"""Fields of the vendor's that hold events, and what to send instead."""


def _check_kind(document: Mapping[str, object], event_type: object) -> None:
    """Tell another event of the vendor, or a wrapper around events, from a signal that lacks its action."""
    for field, cause in _WRAPPERS.items():
        if isinstance(document.get(field), Mapping | list):
            raise MalformedSignalError(field, cause)
    if isinstance(event_type, str) and event_type:
        raise UntrackedEventError(event_type)


class _Pair(BaseModel):
    """A visitor and an action map, checked as a signal's are."""

    model_config = ConfigDict(strict=True)

    customer_id: Name = Field(alias="customerId")
    customer_id_type: Name = Field(alias="customerIdType")
    action_map_id: Uuid = Field(alias="actionMapId")


def read_pair(customer_id: str, customer_id_type: str, action_map_id: str) -> tuple[str, str, str]:
    """Check what names a visitor-offer; returns id type, id and map as they are stored.

    Raises:
        MalformedSignalError: Saying which one and why.
    """
    named = {"customerId": customer_id, "customerIdType": customer_id_type, "actionMapId": action_map_id}
    try:
        pair = _Pair.model_validate(named)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise MalformedSignalError(str(first["loc"][0]), _cause(first)) from None
    return pair.customer_id_type, pair.customer_id, pair.action_map_id


def _flattened(document: Mapping[str, object]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, path in _STORED_FORM_PATHS.items():
        value: object = document
        for depth, step in enumerate(path):
            if value is None:
                break
            if not isinstance(value, Mapping):
                raise MalformedSignalError(".".join(path[:depth]), "a JSON object is needed")
            value = value.get(step)
        if value is not None:
            fields[name] = value
    return fields


def nesting(text: str, start: int = 0) -> Iterator[tuple[int, int]]:
    """Where JSON text goes deeper and comes back: behind each bracket, its place and how deep it is there."""
    depth = 0
    for token in _BRACKET_OR_STRING.finditer(text, start):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        else:
            continue
        yield token.end(), depth


def _check_depth(text: str) -> None:
    brackets = text.count("[") + text.count("{")
    if brackets > _DEEPEST and any(depth > _DEEPEST for _, depth in nesting(text)):
        raise MalformedSignalError(None, "nested too deeply")


def _document(text: bytes) -> object:
    try:
        decoded = text.decode("utf-8-sig")
        _check_depth(decoded)
        return json.loads(decoded, parse_float=_Fraction, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise MalformedSignalError(None, f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise MalformedSignalError(None, f"not JSON: {error.msg} at character {error.pos}") from None
    except MalformedSignalError:
        raise
    except ValueError:  # the one that is left: Python reads no integer of more than 4,300 digits
        raise MalformedSignalError(None, "a number has too many digits") from None


class _Fraction:
    """A number that is no integer, as it was written; no field but the error code takes one."""

    __slots__ = ("written",)

    def __init__(self, written: str) -> None:
        self.written = written


def _no_constant(name: str) -> Never:
    raise MalformedSignalError(None, f"not JSON: {name} is no JSON value")


_CAUSES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_type": "text is needed",
    "string_unicode": "holds a lone surrogate, which is no text",
    "string_pattern_mismatch": "a hyphenated UUID is needed",
    "string_too_short": "must not be empty",
    "string_too_long": "at most {max_length} characters",
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "value_error": "{error}",
}


def _cause(error: Mapping[str, Any]) -> str:
    known = _CAUSES.get(error["type"])
    return known.format(**error.get("ctx", {})) if known else str(error["msg"])
