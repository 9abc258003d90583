"""Long lists: in pages by cursor, or whole as NDJSON."""

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import closing
from typing import Any, Final, TypeVar

import msgspec
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from offerlog_infrastructure.http.problems import ProblemError, malformed
from offerlog_infrastructure.http.requests.access import is_still_valid
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.threads.dispatch import run_report

T = TypeVar("T")
Item = TypeVar("Item", bound=Mapping[str, Any])

PAGE_BYTES: Final = 4 << 20
"""Most bytes of a page's items; a single item may be longer."""

_PIECE_BYTES: Final = 256 << 10
"""Bytes of a streamed list that are encoded at a time: the memory held for a client that does not read."""

_encode = msgspec.json.Encoder().encode


def encode_cursor(parts: list[Any]) -> str:
    """Encode the place where a page ended, as text for the caller to send back."""
    return base64.urlsafe_b64encode(_encode(parts)).decode().rstrip("=")


def decode_cursor(text: str, of: type[T]) -> T:
    """Decode the place where a page ended.

    Args:
        text: The cursor, as `encode_cursor` made it.
        of: Type of its parts.

    Raises:
        ProblemError: 400, the text is not a cursor of such a list.
    """
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=of)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise malformed("cursor", "it is not one of this list's") from None


async def page_response(
    request: Request,
    rows: Generator[T],
    describe: Callable[[T], Item],
    limit: int,
    cursor_parts: Callable[[Item], list[Any]],
    name: str = "items",
) -> Response:
    """Answer with the first rows, and a cursor if there are more.

    Args:
        request: The request that is answered.
        rows: The list, from where the page begins.
        describe: Builds the answer's item from a row.
        limit: Most items of the page. The page has fewer where they exceed `PAGE_BYTES`.
        cursor_parts: Returns the parts of a cursor behind this item.
        name: The key of the items in the answer.

    Raises:
        ReadTimeoutError: The read exceeded its time limit.
        ClientDisconnect: The client has disconnected.
    """

    def read() -> bytes:
        items, cursor = encode_page(rows, describe, limit, cursor_parts)
        return b'{"%b":[%b],"next_cursor":%b}' % (name.encode(), items, cursor)

    return encoded_response(await run_report(request, read))


def encode_page(
    rows: Generator[T],
    describe: Callable[[T], Item],
    limit: int,
    cursor_parts: Callable[[Item], list[Any]],
) -> tuple[bytes, bytes]:
    """Encode the items of a page, with commas between them, and the cursor or null."""
    encoded: list[bytes] = []
    size, cursor = 0, None
    last: Item | None = None
    with closing(rows):
        for row in rows:
            item = describe(row)
            text = encode_escaped(item)
            size += len(text)
            if last is not None and (len(encoded) == limit or size > PAGE_BYTES):
                cursor = encode_cursor(cursor_parts(last))
                break
            encoded.append(text)
            last = item
    return b",".join(encoded), _encode(cursor)


def encoded_response(text: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON that is encoded already."""
    return Response(text, status, headers, "application/json")


def accepts_lines(request: Request) -> bool:
    """Return whether the caller asks for NDJSON."""
    return "application/x-ndjson" in request.headers.get("accept", "")


async def stream_response(
    request: Request, rows: Generator[T], describe: Callable[[T], Mapping[str, Any]]
) -> StreamingResponse:
    """Answer with all rows, one on each line; a piece is made when the piece before it has been sent.

    The first piece is made before the response begins: a list that cannot be begun is answered as a problem.

    Once the caller's key has been revoked or its session has ended, the connection is closed without an end
    of the body: a list that is cut must not look complete.
    """

    def encode_piece() -> bytes:
        lines, size = [], 0
        for row in rows:
            line = encode_escaped(describe(row)) + b"\n"
            lines.append(line)
            size += len(line)
            if size >= _PIECE_BYTES:
                break
        return b"".join(lines)

    async def pieces(piece: bytes) -> AsyncIterator[bytes]:
        with closing(rows):
            while piece:
                if not await is_still_valid(request):
                    raise ProblemError("unauthorized", "the key has been revoked while the list was read")
                yield piece
                piece = await run_report(request, encode_piece)

    first = await run_report(request, encode_piece)
    return StreamingResponse(pieces(first), media_type="application/x-ndjson")
