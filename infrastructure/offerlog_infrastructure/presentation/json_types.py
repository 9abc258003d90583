"""JSON types of single fields, with the limits that the OpenAPI document states.

Models of answers and of requests are built from these types, so a limit is written in one place.
"""

from typing import Annotated, Final

from msgspec import Meta

from offerlog_application.ports.keys import Role
from offerlog_domain.events import OfferRefused, SignalParked
from offerlog_domain.lifecycle import MediaType, Stage, State, UntrackedState
from offerlog_domain.outcomes import OutcomeKind, Reason
from offerlog_domain.signals import MAX_NAME_LENGTH

UUID_FORMAT: Final = "uuid"
NAME_LENGTHS: Final = (1, MAX_NAME_LENGTH)
"""Fewest and most characters of a customer id, its type and a media type."""

_INT64: Final = 2**63

Uuid = Annotated[str, Meta(extra_json_schema={"format": UUID_FORMAT})]
"""A hyphenated UUID."""

Name = Annotated[str, Meta(min_length=NAME_LENGTHS[0], max_length=NAME_LENGTHS[1])]
"""A customer id, a type of customer ids, or a media type."""

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""An RFC 3339 time with its offset."""

WallTime = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d(:\d\d)?$",
        description="With the offset that the zone's clocks had; before standard time it has seconds.",
    ),
]
"""The first instant of a bucket, in the zone of the report."""

Integer = Annotated[int, Meta(ge=-_INT64, le=_INT64 - 1, extra_json_schema={"format": "int64"})]
Count = Annotated[int, Meta(ge=0)]
Position = Count | Annotated[str, Meta(pattern=r"^[0-9]+([.][0-9]+)+$")]
"""A place in the log, which callers hand back as it is: a number; with several servers, a text."""

Seconds = Annotated[float, Meta(ge=0)]
Rate = Annotated[float, Meta(ge=0)]
TimeoutSeconds = Annotated[int, Meta(ge=1, le=86_400)]

StateName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in State]})]
"""A state of the lifecycle."""

ActivityName = Annotated[
    str,
    Meta(
        extra_json_schema={
            "enum": [
                *(one.value for one in State),
                OfferRefused.stored_name,
                SignalParked.stored_name,
            ]
        }
    ),
]
"""The kind of an event that was made from a signal."""

AnyStateName = Annotated[
    str,
    Meta(extra_json_schema={"enum": [*(one.value for one in State), *(one.value for one in UntrackedState)]}),
]
"""A state of the lifecycle, or a state of the vendor that is not tracked."""

MediaTypeName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in MediaType]})]
"""A media type of offers that is tracked."""

StageName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in Stage]})]
"""The stage at which an offer was rejected."""

ReasonName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in Reason]})]
"""The code of a refusal."""

RoleName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in Role]})]
"""The role of a key."""

RECEIVED: Final = "received"
"""The outcome in answers to widget keys, if the true one depends on the visitor's past."""

OutcomeName = Annotated[
    str, Meta(extra_json_schema={"enum": [*(one.value for one in OutcomeKind), RECEIVED]})
]
