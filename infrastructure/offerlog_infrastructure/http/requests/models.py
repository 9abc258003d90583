"""Bodies of requests: an offer, a batch of visitors, a key, and a webhook.

Limits that stand in `json_schema_extra` are shown in the OpenAPI document and checked by the application,
with the same errors that the command line has. The other limits are checked here.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from offerlog_application.feed.kinds import KINDS_BY_NAME
from offerlog_application.ports.keys import Role
from offerlog_domain.action_map_policies import SUPPRESSING_STATES
from offerlog_domain.lifecycle import WEBCHAT, MediaType
from offerlog_infrastructure.presentation.json_types import NAME_LENGTHS, UUID_FORMAT

_SHORTEST, _LONGEST = NAME_LENGTHS
_SHOWN_LENGTHS = {"minLength": _SHORTEST, "maxLength": _LONGEST}

_Uuid = Annotated[str, Field(json_schema_extra={"format": UUID_FORMAT})]
_MapText = Annotated[str, Field(json_schema_extra={"format": "action-map"})]
_Version = Annotated[
    int, Field(json_schema_extra={"format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1})
]
_RoleName = Annotated[str, Field(json_schema_extra={"enum": [one.value for one in Role]})]
_KindName = Annotated[str, Field(json_schema_extra={"enum": list(KINDS_BY_NAME)})]
_MediaType = Annotated[str, Field(json_schema_extra={"enum": [one.value for one in MediaType]})]
_SuppressingState = Annotated[str, Field(json_schema_extra={"enum": [*SUPPRESSING_STATES]})]
_Period = Annotated[str, Field(json_schema_extra={"format": "period"})]
_Seconds = Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": 315_360_000})]
_Position = Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": 2**53 - 1})]
_Cursor = Annotated[str, Field(max_length=1_100, json_schema_extra={"format": "feed-cursor"})]
_TimeoutSeconds = Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": 86_400})]


class Offer(BaseModel):
    """Request to make an offer, by the vendor's field names."""

    model_config = ConfigDict(strict=True, extra="forbid")

    customer_id: str = Field(alias="customerId", json_schema_extra={**_SHOWN_LENGTHS})
    customer_id_type: str = Field(
        alias="customerIdType", default="cookie", json_schema_extra={**_SHOWN_LENGTHS}
    )
    action_map_id: _Uuid = Field(alias="actionMapId")
    session_id: _Uuid = Field(alias="sessionId")
    action_id: _Uuid | None = Field(alias="actionId", default=None)
    action_map_version: _Version | None = Field(alias="actionMapVersion", default=None)
    timeout_seconds: _TimeoutSeconds | None = Field(alias="timeoutSeconds", default=None)
    media_type: _MediaType = Field(alias="actionMediaType", default=WEBCHAT.media_type)


class Visitor(BaseModel):
    """Visitor of a batch."""

    model_config = ConfigDict(strict=True, extra="forbid")

    customer_id: str = Field(alias="customerId", min_length=_SHORTEST, max_length=_LONGEST)
    customer_id_type: str = Field(
        alias="customerIdType", default="cookie", min_length=_SHORTEST, max_length=_LONGEST
    )


class Visitors(BaseModel):
    """Batch of visitors whose suppressions are asked for."""

    model_config = ConfigDict(strict=True, extra="forbid")

    visitors: list[Visitor] = Field(max_length=1_000)


class NewKey(BaseModel):
    """Request to make a key."""

    model_config = ConfigDict(strict=True, extra="forbid")

    role: _RoleName = Field(description="The rights of the key.")
    name: str = Field(default="", max_length=256, description="Its purpose, for people, on one line.")
    origins: list[str] = Field(
        default=[], max_length=100, description="The web origins from which a browser may use it."
    )
    any_origin: bool = Field(default=False, description="A key for public pages may be used from any origin.")
    expires: str | None = Field(
        default=None,
        max_length=64,
        description="Its end: so many hours, days or weeks such as `90d`, or a time; null for never.",
    )


class NewPolicy(BaseModel):
    """Request to set the policy of an action map."""

    model_config = ConfigDict(strict=True, extra="forbid")

    suppress_for: dict[_SuppressingState, _Period | _Seconds] = Field(
        max_length=len(SUPPRESSING_STATES),
        description="By terminal state, the time for which it suppresses the offer: seconds, or a number with"
        " a unit such as `30d`, up to 3650 days. A state that is left out suppresses the offer for ever.",
    )


class NewWebhook(BaseModel):
    """Request to make a webhook."""

    model_config = ConfigDict(strict=True, extra="forbid")

    url: str = Field(max_length=2_000, description="The address of the receiver, with https.")
    types: list[_KindName] = Field(
        default=[],
        max_length=len(KINDS_BY_NAME),
        description="Types of events that it gets, such as `offered`; empty for all.",
    )
    action_maps: list[_MapText] = Field(
        default=[],
        max_length=1_000,
        description="Action maps whose events it gets, by id or unique name; empty for all.",
    )
    after: _Position | _Cursor | None = Field(
        default=None,
        description="Begin after this position of the log, or this cursor of the feed; 0 for all of it, null"
        " for its end.",
    )
