"""Bodies of requests that ask: an offer, and a batch of visitors.

Limits that stand in `json_schema_extra` are shown in the OpenAPI document and checked by the application,
with the same errors that the command line has. The other limits are checked here.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from offerlog_infrastructure.presentation.json_types import NAME_LENGTHS, UUID_FORMAT

_SHORTEST, _LONGEST = NAME_LENGTHS
_SHOWN_LENGTHS = {"minLength": _SHORTEST, "maxLength": _LONGEST}

_Uuid = Annotated[str, Field(json_schema_extra={"format": UUID_FORMAT})]
_Version = Annotated[
    int, Field(json_schema_extra={"format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1})
]
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
