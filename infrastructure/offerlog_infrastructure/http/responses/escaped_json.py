"""JSON answers that are safe to show on a terminal, where callers with curl see them."""

from typing import Any, Final

import msgspec
from fastapi.responses import JSONResponse

from offerlog_infrastructure.presentation.escaping import escape_json_bytes

_encode: Final = msgspec.json.Encoder().encode


class EscapedJSONResponse(JSONResponse):
    """JSON answer in which control, bidirectional and line-separating characters are escaped."""

    def render(self, content: Any) -> bytes:
        """Encode the content.

        Raises:
            ValueError: The content has a value that JSON does not know, such as NaN.
        """
        return escape_json_bytes(super().render(content))


def encode_escaped(value: object) -> bytes:
    """Encode a value as JSON, faster than `EscapedJSONResponse`; the same characters are escaped."""
    return escape_json_bytes(_encode(value))
