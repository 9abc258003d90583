"""What comes in: a signal, its two wire forms and its validation (docs: "Wire form of a signal").

A signal is a report from outside that an action reached a state. It may be late, repeated, out of
order or wrong; this module only says whether it can be read.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Never

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from offerlog_domain.lifecycle import LIFECYCLES, WEBCHAT, Lifecycle, State, UntrackedState

MAX_LINE_BYTES: Final = 64 * 1024
"""The longest signal that is read, in bytes of its JSON text."""

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

_USUAL_LENGTH: Final = len("2026-11-22T10:00:00.123Z")
_USUAL_MARKS: Final = "--T::.Z"

_STATES: Final[Mapping[str, State | UntrackedState]] = {s.value: s for s in (*State, *UntrackedState)}

_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)


class MalformedSignal(ValueError):  # noqa: N818 - the name is the refusal's reason
    """A report that cannot be read as a signal.

    Attributes:
        field: The wire name of the field at fault, None where the whole text is.
        cause: Why, as a sentence for people.
    """

    def __init__(self, field: str | None, cause: str) -> None:
        super().__init__(f"{field}: {cause}" if field else cause)
        self.field = field
        self.cause = cause


def _instant(value: object) -> object:
    """RFC 3339 with offset to an aware datetime in UTC; digits past the microsecond are dropped."""
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time with an offset is needed")
        return value.astimezone(UTC)
    if not isinstance(value, str):
        raise ValueError("text is needed")  # noqa: TRY004 - pydantic reports ValueErrors
    if len(value) == _USUAL_LENGTH and value[4:20:3] + value[23] == _USUAL_MARKS:
        try:  # the vendor's own form, 2026-11-22T10:00:00.123Z, without taking it apart
            return datetime.fromisoformat(value)
        except ValueError:
            pass  # the reading below says why
    match = _RFC3339.fullmatch(value)
    if match is None:
        raise ValueError("an RFC 3339 time with an offset is needed, such as 2026-11-22T10:00:00.123Z")
    day, minute, second, fraction, sign, hours, minutes = match.groups()
    leap = second == "60"
    try:
        moment = datetime.fromisoformat(f"{day}T{minute}:{'59' if leap else second}").replace(
            microsecond=int((fraction or "0")[:6].ljust(6, "0")), tzinfo=UTC
        )
        if sign is not None:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            moment = moment - offset if sign == "+" else moment + offset
        return moment + timedelta(seconds=1) if leap else moment
    except (ValueError, OverflowError) as error:
        raise ValueError(f"no such time: {error}") from None


def _state(value: object) -> State | UntrackedState:
    state = _STATES.get(value) if isinstance(value, str) else None
    if state is None:
        raise ValueError("no state that the vendor knows")
    return state


_STRICT: Final = ConfigDict(strict=True, validate_by_name=True, validate_by_alias=True)

_Uuid = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        to_lower=True,
    ),
]
_Text = Annotated[str, StringConstraints(max_length=MAX_LINE_BYTES)]  # a limit makes pydantic read the text
_Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Signal:
    """A readable report that an action reached a state.

    Attributes:
        action_id: The invitation; a lower-case UUID, as all ids here but the customer's.
        state: What was reached.
        media_type: The vendor's `actionMediaType`; its lifecycle table may not exist.
        action_map_id: The rule that made the offer.
        action_map_version: Its version, None where not told.
        customer_id: Who is on the site: 1 to 256 characters, byte for byte.
        customer_id_type: What kind of id that is; `cookie` in a browser.
        session_id: The visit.
        error_code: The vendor's `errorCode` as text: "00045" keeps its zeros.
        error_message: The vendor's `errorMessage`.
        event_id: The report's own id, None where the sender has none.
        occurred_at: When it happened, in UTC (`createdDate`); None means when it arrived.
        timeout_seconds: After how many seconds the widget withdraws the invitation.
        action_map_name: The map's display name.
    """

    action_id: _Uuid = Field(alias="actionId")
    state: Annotated[State | UntrackedState, PlainValidator(_state), PlainSerializer(str)] = Field(
        alias="actionState"
    )
    media_type: _Name = Field(alias="actionMediaType", default=WEBCHAT.media_type)
    action_map_id: _Uuid = Field(alias="actionMapId")
    action_map_version: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        alias="actionMapVersion", default=None
    )
    customer_id: _Name = Field(alias="customerId")
    customer_id_type: _Name = Field(alias="customerIdType", default="cookie")
    session_id: _Uuid = Field(alias="sessionId")
    error_code: _Text | None = Field(alias="errorCode", default=None)
    error_message: _Text | None = Field(alias="errorMessage", default=None)
    event_id: _Uuid | None = Field(alias="eventId", default=None)
    occurred_at: Annotated[datetime | None, BeforeValidator(_instant)] = Field(
        alias="createdDate", default=None
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=86400)] | None = Field(
        alias="timeoutSeconds", default=None
    )
    action_map_name: _Text | None = Field(alias="actionMapName", default=None)

    @property
    def lifecycle(self) -> Lifecycle | None:
        """The table that judges this signal; None where its media type or state is not tracked."""
        return LIFECYCLES.get(self.media_type) if isinstance(self.state, State) else None

    def to_json(self) -> bytes:
        """The signal as one line of the vendor's browser form."""
        return _SIGNAL.dump_json(self, by_alias=True)


_SIGNAL: Final = TypeAdapter(Signal)
_fill: Final = _SIGNAL.validator.validate_python
_read_json: Final[Callable[..., Signal]] = _SIGNAL.validator.validate_json


def read_signal(text: bytes) -> Signal:
    """Read one signal in either wire form.

    Raises:
        MalformedSignal: Saying which field and why.
    """
    if len(text) > MAX_LINE_BYTES:
        raise MalformedSignal(None, f"longer than {MAX_LINE_BYTES // 1024} KiB")
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
        MalformedSignal: Saying which field and why.
    """
    if not isinstance(document, Mapping):
        raise MalformedSignal(None, "a JSON object is needed")
    event_type = document.get("eventType")
    stored_form = isinstance(event_type, str) and event_type in STORED_FORM_EVENT_TYPES
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
        raise MalformedSignal(field, _cause(first)) from None
    return signal


class _Pair(BaseModel):
    """A visitor and an action map, checked as a signal's are."""

    model_config = ConfigDict(strict=True)

    customer_id: _Name = Field(alias="customerId")
    customer_id_type: _Name = Field(alias="customerIdType")
    action_map_id: _Uuid = Field(alias="actionMapId")


def read_pair(customer_id: str, customer_id_type: str, action_map_id: str) -> tuple[str, str, str]:
    """Check what names a visitor-offer; returns id type, id and map as they are stored.

    Raises:
        MalformedSignal: Saying which one and why.
    """
    named = {"customerId": customer_id, "customerIdType": customer_id_type, "actionMapId": action_map_id}
    try:
        pair = _Pair.model_validate(named)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise MalformedSignal(str(first["loc"][0]), _cause(first)) from None
    return pair.customer_id_type, pair.customer_id, pair.action_map_id


def _flattened(document: Mapping[str, object]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, path in _STORED_FORM_PATHS.items():
        value: object = document
        for depth, step in enumerate(path):
            if value is None:
                break
            if not isinstance(value, Mapping):
                raise MalformedSignal(".".join(path[:depth]), "a JSON object is needed")
            value = value.get(step)
        if value is not None:
            fields[name] = value
    return fields


def _document(text: bytes) -> object:
    try:
        return json.loads(text.decode("utf-8-sig"), parse_float=_Fraction, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise MalformedSignal(None, f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise MalformedSignal(None, f"not JSON: {error.msg} at character {error.pos}") from None
    except MalformedSignal:
        raise
    except RecursionError:
        raise MalformedSignal(None, "nested too deeply") from None
    except ValueError:  # the one that is left: Python reads no integer of more than 4,300 digits
        raise MalformedSignal(None, "a number has too many digits") from None


class _Fraction:
    """A number that is no integer, as it was written; no field but the error code takes one."""

    __slots__ = ("written",)

    def __init__(self, written: str) -> None:
        self.written = written


def _no_constant(name: str) -> Never:
    raise MalformedSignal(None, f"not JSON: {name} is no JSON value")


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
