"""JSON answers that are safe to show on a terminal: whoever calls with curl has one."""

from typing import Any, Final

import msgspec
from fastapi.responses import JSONResponse

from offerlog_infrastructure.presentation.escaping import escape_json_bytes

_encode: Final = msgspec.json.Encoder().encode


class EscapedJSONResponse(JSONResponse):
    """A JSON answer; control, bidirectional and line-separating characters are escaped in it."""

    def render(self, content: Any) -> bytes:
        """Encode the content. Raises ValueError for what JSON does not know, such as NaN."""
        return escape_json_bytes(super().render(content))


def encode_escaped(value: object) -> bytes:
    """Encode a value as JSON, for streams: the same characters are escaped as in `EscapedJSONResponse`."""
    return escape_json_bytes(_encode(value))
