"""Long lists in pages by cursor, or as NDJSON in one go."""

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import closing
from itertools import islice
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from fastapi.responses import StreamingResponse

from offerlog_infrastructure.documents import Document
from offerlog_infrastructure.http.escaped import EscapedJSONResponse, encode_escaped
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.slow_reads import slowly

T = TypeVar("T")
_PIECE = 1_000

_encode = msgspec.json.Encoder().encode


def cursor_of(parts: list[Any]) -> str:
    """Where a page ended, as text to be handed back."""
    return base64.urlsafe_b64encode(_encode(parts)).decode().rstrip("=")


def read_cursor(text: str, of: type[T]) -> T:
    """Where a page ended, as parts of these types.

    Raises:
        Problem: This is no cursor of such a list.
    """
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=of)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise malformed("cursor", "it is not one of this list's") from None


async def page_of(
    request: Request,
    found: Generator[T],
    told: Callable[[T], Document],
    limit: int,
    cursor: Callable[[Document], list[Any]],
) -> EscapedJSONResponse:
    """The first of them, and a cursor if there are more."""

    def taken() -> list[Document]:
        with closing(found):
            return [told(one) for one in islice(found, limit + 1)]

    items = await slowly(request, taken)
    more = len(items) > limit
    items = items[:limit]
    return EscapedJSONResponse(
        {"items": items, "next_cursor": cursor_of(cursor(items[-1])) if more else None}
    )


def stream_of(request: Request, found: Generator[T], told: Callable[[T], Document]) -> StreamingResponse:
    """All of them, one on a line."""

    def piece() -> bytes:
        return b"".join(encode_escaped(told(one)) + b"\n" for one in islice(found, _PIECE))

    async def pieces() -> AsyncIterator[bytes]:
        with closing(found):
            while more := await slowly(request, piece):
                yield more

    return StreamingResponse(pieces(), media_type="application/x-ndjson")
