"""Readers of signals in the vendor's two wire forms. They name the fault of any other text."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Never

from pydantic import ValidationError
from pydantic_core import ArgsKwargs

from offerlog_domain.block_signals import (
    BLOCK_PATHS,
    BLOCK_SIGNAL,
    BLOCKED_EVENT_TYPES,
    BlockSignal,
    NativeBlock,
    to_native_block,
)
from offerlog_domain.customers_of_texts import (
    WRAPPERS,
    find_customers,
    find_customers_in_text,
    has_cut_customer,
)
from offerlog_domain.fast_reading import convert_block_fast, convert_fast, read_block_fast, read_fast
from offerlog_domain.signals import (
    MAX_LINE_BYTES,
    SIGNAL,
    WIRE_NAMES,
    MalformedSignalError,
    NativeSignal,
    Signal,
    UntrackedEventError,
    describe_fault,
    to_native,
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
"""The deepest nesting of a signal, however much stack the caller has left."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)

_BRACKET_OR_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)

_FIELDS: Final = tuple(WIRE_NAMES.values())

_fill: Final = SIGNAL.validator.validate_python
_fill_block: Final = BLOCK_SIGNAL.validator.validate_python


def read_signal(text: bytes) -> NativeSignal:
    """Read one signal of a state in either wire form.

    Raises:
        MalformedSignalError: Names the field at fault, and the reason.
        UntrackedEventError: It is another event of the vendor, or it reports a blocked offer.
    """
    return _of_state(read_any_signal(text))


def signal_from_document(document: object) -> NativeSignal:
    """Read a signal of a state from decoded JSON in either wire form.

    Raises:
        MalformedSignalError: Names the field at fault, and the reason.
        UntrackedEventError: It is another event of the vendor, or it reports a blocked offer.
    """
    return _of_state(any_signal_from_document(document))


def read_any_signal(text: bytes) -> NativeSignal | NativeBlock:
    """Read one signal: a state of an action in either wire form, or the vendor's event of a blocked offer.

    Raises:
        MalformedSignalError: Names the field at fault, and the reason.
        UntrackedEventError: It is another event of the vendor.
    """
    signal = read_fast(text) or read_block_fast(text)
    return _to_native(validate_text(text)) if signal is None else signal


def any_signal_from_document(document: object) -> NativeSignal | NativeBlock:
    """Read a signal, as `read_any_signal` does, from decoded JSON.

    Raises:
        MalformedSignalError: Names the field at fault, and the reason.
        UntrackedEventError: It is another event of the vendor.
    """
    signal = convert_fast(document) or convert_block_fast(document)
    return _to_native(validate_document(document)) if signal is None else signal


def _of_state(signal: NativeSignal | NativeBlock) -> NativeSignal:
    if isinstance(signal, NativeSignal):
        return signal
    raise UntrackedEventError


def _to_native(signal: Signal | BlockSignal) -> NativeSignal | NativeBlock:
    return to_native(signal) if isinstance(signal, Signal) else to_native_block(signal)


def validate_text(text: bytes) -> Signal | BlockSignal:
    """Read one signal, as `read_any_signal` does, by pydantic, the authority on what is valid.

    Raises:
        MalformedSignalError: Names the field at fault, and the reason.
        UntrackedEventError: It is another event of the vendor.
    """
    try:
        return validate_document(parse_document(text))
    except (MalformedSignalError, UntrackedEventError) as error:
        if error.customer is None and not error.names_several:
            _attribute(error, find_customers_in_text(text[:MAX_LINE_BYTES]))
            error.names_several |= has_cut_customer(text)
        raise


def validate_document(document: object) -> Signal | BlockSignal:
    """Read a signal, as `read_any_signal` does, of decoded JSON by pydantic, the authority on what is valid.

    Raises:
        MalformedSignalError: Names the field at fault, and the reason.
        UntrackedEventError: It is another event of the vendor.
    """
    if not isinstance(document, Mapping):
        raise MalformedSignalError(None, "a JSON object is needed")
    whole, document = document, _open_notification(document)
    event_type = document.get("eventType")
    names_action = document.get("actionId") is not None
    stored_form = isinstance(event_type, str) and event_type in STORED_FORM_EVENT_TYPES
    reports_block = not names_action and isinstance(event_type, str) and event_type in BLOCKED_EVENT_TYPES
    try:
        if reports_block:
            return _build_block(document)
        if not stored_form and not names_action:
            _check_kind(document, event_type)
        fields = _flatten(document, _STORED_FORM_PATHS) if stored_form else document
        return _build_signal(fields, stored_form=stored_form)
    except (MalformedSignalError, UntrackedEventError) as error:
        error.event_id = _event_id(document.get("id" if stored_form or reports_block else "eventId"))
        _attribute(error, find_customers(whole))
        raise


def _open_notification(document: Mapping[str, object]) -> Mapping[str, object]:
    """Return the event inside a notification of the vendor (`eventBody`); any other document as it is.

    Source: the vendor's topic `v2.journey.sessions.{id}.action.events`.
    """
    body, event_type = document.get("eventBody"), document.get("eventType")
    if not isinstance(body, Mapping) or document.get("actionId") is not None:
        return document
    is_event = isinstance(event_type, str) and event_type in STORED_FORM_EVENT_TYPES | BLOCKED_EVENT_TYPES
    return document if is_event else body


def _attribute(error: MalformedSignalError | UntrackedEventError, named: set[tuple[str, str]]) -> None:
    """Say in an error whom the text names."""
    error.names_several = len(named) > 1
    if len(named) == 1:
        (error.customer,) = named


def _build_signal(document: Mapping[str, object], *, stored_form: bool) -> Signal:
    fields = pick_fields(document, _FIELDS)
    signal = object.__new__(Signal)  # strict validation fills an instance; it does not make one of a mapping
    try:
        _fill(ArgsKwargs((), fields), self_instance=signal, by_alias=True, by_name=False)
    except ValidationError as error:
        field = str(error.errors(include_url=False)[0]["loc"][0])
        if stored_form:
            field = ".".join(_STORED_FORM_PATHS.get(field, (field,)))
        raise MalformedSignalError(field, describe_fault(error)) from None
    return signal


def _build_block(document: Mapping[str, object]) -> BlockSignal:
    """Return the signal of the vendor's event of a blocked offer."""
    fields = _flatten(document, BLOCK_PATHS)
    signal = object.__new__(BlockSignal)
    try:
        _fill_block(ArgsKwargs((), fields), self_instance=signal)
    except ValidationError as error:
        field = str(error.errors(include_url=False)[0]["loc"][0])
        raise MalformedSignalError(".".join(BLOCK_PATHS[field]), describe_fault(error)) from None
    return signal


def pick_fields(document: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    """Return the fields of a document that have these wire names and a value; an error code as text."""
    fields = {name: value for name in names if (value := document.get(name)) is not None}
    code = fields.get("errorCode")
    if isinstance(code, _Fraction):
        fields["errorCode"] = code.text
    elif isinstance(code, int | float) and not isinstance(code, bool):
        fields["errorCode"] = str(code)
    return fields


def _event_id(value: object) -> str | None:
    """Return a valid event id in lower case. Any other value may be personal, so it is never returned."""
    return value.lower() if isinstance(value, str) and _UUID.fullmatch(value) else None


def _check_kind(document: Mapping[str, object], event_type: object) -> None:
    """Raise an error for another event of the vendor, or a wrapper around events."""
    for field, cause in WRAPPERS.items():
        if isinstance(document.get(field), Mapping | list):
            raise MalformedSignalError(field, cause)
    if isinstance(event_type, str) and event_type:
        raise UntrackedEventError


def _flatten(document: Mapping[str, object], paths: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, path in paths.items():
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
    """Yield the place after each bracket of a JSON text, and the depth of nesting there."""
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


def parse_document(text: bytes) -> object:
    """Return the value of a JSON text, whose numbers with a fraction stay as they were written.

    Raises:
        MalformedSignalError: The text is too long or nested too deeply, or it is not JSON.
    """
    if len(text) > MAX_LINE_BYTES:
        raise MalformedSignalError(None, f"longer than {MAX_LINE_BYTES // 1024} KiB")
    try:
        decoded = text.decode("utf-8-sig")
        _check_depth(decoded)
        return json.loads(decoded, parse_float=_Fraction, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise MalformedSignalError(None, f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise MalformedSignalError(
            None, f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos}"
        ) from None
    except MalformedSignalError:
        raise
    except ValueError:  # the one that is left: Python reads no integer of more than 4,300 digits
        raise MalformedSignalError(None, "a number has too many digits") from None


class _Fraction:
    """A number with a fraction or an exponent, as it was written. Only the error code may be one."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _no_constant(name: str) -> Never:
    raise MalformedSignalError(None, f"not JSON: {name} is no JSON value")
