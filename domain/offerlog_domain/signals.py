"""A signal, and the rules of its fields (docs: "Wire form of a signal").

A signal is a report from outside that an action reached a state. It may be late, repeated, out of
order or wrong. `Signal` states the rules, in text; `NativeSignal` is a valid signal in native types, as the
rules of the lifecycle use it. `wire` reads signals.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from msgspec import Struct
from pydantic import (
    AfterValidator,
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

from offerlog_domain.errors import OfferlogError
from offerlog_domain.lifecycle import WEBCHAT, Lifecycle, State, UntrackedState, find_lifecycle
from offerlog_domain.uuids import parse_signal_ids

MAX_LINE_BYTES: Final = 64 * 1024
"""The longest signal that is read, in bytes of its JSON text."""

MAX_NAME_LENGTH: Final = 256
"""Most characters of a customer id, its type, a media type, a map's display name and an error code."""

MAX_MESSAGE_LENGTH: Final = 4096
"""Characters of an error message that are kept; the rest is cut off."""

COOKIE: Final = "cookie"
"""The type of a visitor's id in a browser."""

_USUAL_LENGTH: Final = len("2026-11-22T10:00:00.123Z")
_USUAL_MARKS: Final = "--T::.Z"

_NO_TIME: Final = "an RFC 3339 time with an offset is needed, such as 2026-11-22T10:00:00.123Z"

STATES: Final[Mapping[str, State | UntrackedState]] = {s.value: s for s in (*State, *UntrackedState)}
"""Every state that the vendor reports, by its spelling on the wire."""

_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)


class MalformedSignalError(OfferlogError, ValueError):
    """A text or document is not a valid signal.

    Attributes:
        field: The wire name of the field at fault; None where the whole text is at fault.
        cause: The reason, as a sentence for people. It never quotes the signal: it is stored unsealed.
        event_id: The signal's own id, in lower case, where the document holds one; None otherwise.
        customer: Type and id of the customer, where the text names exactly one; None otherwise. Without a
            valid type in the text the type is `cookie`.
        names_several: True if the text names several customers, or ends in the middle of the id of one. Then
            nothing of it may be kept.
    """

    event_id: str | None = None
    customer: tuple[str, str] | None = None
    names_several: bool = False

    def __init__(self, field: str | None, cause: str) -> None:
        super().__init__(f"{field}: {cause}" if field else cause)
        self.field = field
        self.cause = cause


class UntrackedEventError(OfferlogError, ValueError):
    """An event of the vendor does not report a state of an action, so no lifecycle applies to it.

    Attributes:
        field: The wire name of the field that says so.
        cause: The reason, as a sentence for people.
        event_id: The event's own id, in lower case, where the document holds one; None otherwise.
        customer: As in `MalformedSignalError`.
        names_several: As there.
    """

    event_id: str | None = None
    customer: tuple[str, str] | None = None
    names_several: bool = False

    def __init__(self) -> None:
        self.field = "eventType"
        self.cause = "this is not a web action event, and only those are tracked"
        super().__init__(f"{self.field}: {self.cause}")


def to_instant(value: object) -> object:
    """Convert what a caller gives as a time to an aware datetime in UTC, or None.

    Raises:
        ValueError: It is not a time with an offset.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time with an offset is needed")
        return value.astimezone(UTC)
    if not isinstance(value, str):
        raise ValueError(f"{_NO_TIME}, and not a number")  # noqa: TRY004 - pydantic reports ValueErrors
    return parse_instant(value)


def parse_instant(text: str) -> datetime:
    """Convert RFC 3339 with offset to an aware datetime in UTC. Digits past the microsecond are dropped.

    Raises:
        ValueError: The text has another form, or there is no such time.
    """
    if len(text) == _USUAL_LENGTH and text[4:20:3] + text[23] == _USUAL_MARKS:
        try:  # the vendor's own form, 2026-11-22T10:00:00.123Z, without taking it apart
            return datetime.fromisoformat(text)
        except ValueError:
            pass  # the reading below says why
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(_NO_TIME)
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
        raise ValueError("no such time") from error  # Python's own words may quote it


def _state(value: object) -> State | UntrackedState:
    state = STATES.get(value) if isinstance(value, str) else None
    if state is None:
        raise ValueError("no state that the vendor knows")
    return state


WIRE_NAMES: Final[Mapping[str, str]] = {
    "action_id": "actionId",
    "state": "actionState",
    "media_type": "actionMediaType",
    "action_map_id": "actionMapId",
    "action_map_version": "actionMapVersion",
    "customer_id": "customerId",
    "customer_id_type": "customerIdType",
    "session_id": "sessionId",
    "error_code": "errorCode",
    "error_message": "errorMessage",
    "event_id": "eventId",
    "occurred_at": "createdDate",
    "timeout_seconds": "timeoutSeconds",
    "action_map_name": "actionMapName",
}
"""The wire name of each field of a signal."""

STRICT: Final = ConfigDict(
    strict=True, validate_by_name=True, validate_by_alias=True, alias_generator=WIRE_NAMES.__getitem__
)

Uuid = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        to_lower=True,
    ),
]


def _cut_message(message: str) -> str:
    return message[:MAX_MESSAGE_LENGTH]


Message = Annotated[str, StringConstraints(max_length=MAX_LINE_BYTES), AfterValidator(_cut_message)]
Label = Annotated[str, StringConstraints(max_length=MAX_NAME_LENGTH)]
AnyState = Annotated[State | UntrackedState, PlainValidator(_state), PlainSerializer(str)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH)]


class NativeSignal(Struct, frozen=True, gc=False):
    """A valid signal in native types.

    Nothing is validated here: only `to_native` and `fast_reading` make one. The
    attributes have the meaning that they have in `Signal`; every id but the customer's is a UUID.
    """

    action_id: UUID
    state: State | UntrackedState
    media_type: str
    action_map_id: UUID
    action_map_version: int | None
    customer_id: str
    customer_id_type: str
    session_id: UUID
    error_code: str | None
    error_message: str | None
    event_id: UUID | None
    occurred_at: datetime | None
    timeout_seconds: int | None
    action_map_name: str | None

    @property
    def lifecycle(self) -> Lifecycle | None:
        """The lifecycle of this signal; None where its media type has no table, or its state is not in it."""
        return find_lifecycle(self.media_type, self.state)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Signal:
    """A valid report that an action reached a state, as text: the one description of a signal.

    Whoever makes one gets a pydantic `ValidationError` if a field breaks its rule.

    Attributes:
        action_id: The invitation; a lower-case UUID, as all ids here but the customer's.
        state: The state that the action reached.
        media_type: The vendor's `actionMediaType`; its lifecycle table may not exist.
        action_map_id: The rule that made the offer.
        action_map_version: Its version; None where it is not given.
        customer_id: The visitor's id: 1 to 256 characters, byte for byte.
        customer_id_type: The kind of that id; `cookie` in a browser.
        session_id: The visit.
        error_code: The vendor's `errorCode` as text, at most 256 characters: "00045" keeps its zeros.
        error_message: The vendor's `errorMessage`, cut at 4,096 characters.
        event_id: The signal's own id; None where the sender has none.
        occurred_at: The time at which it happened, in UTC (`createdDate`); None: the moment of its decision.
        timeout_seconds: Seconds after which the widget withdraws the invitation.
        action_map_name: The map's display name, at most 256 characters.
    """

    action_id: Uuid
    state: AnyState
    media_type: Name = WEBCHAT.media_type
    action_map_id: Uuid
    action_map_version: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    customer_id: Name
    customer_id_type: Name = COOKIE
    session_id: Uuid
    error_code: Label | None = None
    error_message: Message | None = None
    event_id: Uuid | None = None
    occurred_at: Annotated[datetime | None, BeforeValidator(to_instant)] = None
    timeout_seconds: Annotated[int, Field(ge=1, le=86400)] | None = None
    action_map_name: Label | None = None

    @property
    def lifecycle(self) -> Lifecycle | None:
        """The lifecycle of this signal; None where its media type has no table, or its state is not in it."""
        return find_lifecycle(self.media_type, self.state)

    def to_json(self) -> bytes:
        """Return the signal as one line of the vendor's browser form."""
        return SIGNAL.dump_json(self, by_alias=True)


SIGNAL: Final = TypeAdapter(Signal)
"""Reads and writes signals."""


def to_native(signal: Signal) -> NativeSignal:
    """Return the same signal in native types."""
    action_id, action_map_id, session_id, event_id = parse_signal_ids(
        signal.action_id, signal.action_map_id, signal.session_id, signal.event_id
    )
    return NativeSignal(
        action_id=action_id,
        state=signal.state,
        media_type=signal.media_type,
        action_map_id=action_map_id,
        action_map_version=signal.action_map_version,
        customer_id=signal.customer_id,
        customer_id_type=signal.customer_id_type,
        session_id=session_id,
        error_code=signal.error_code,
        error_message=signal.error_message,
        event_id=event_id,
        occurred_at=signal.occurred_at,
        timeout_seconds=signal.timeout_seconds,
        action_map_name=signal.action_map_name,
    )


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


def describe_fault(error: ValidationError) -> str:
    """Return the first fault that a validation found, as a sentence for people."""
    first = error.errors(include_url=False)[0]
    cause = _CAUSES.get(first["type"])
    return cause.format(**first.get("ctx", {})) if cause else str(first["msg"])
