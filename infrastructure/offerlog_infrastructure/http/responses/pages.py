"""Long lists in pages by cursor, or as NDJSON in one go."""

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import closing
from typing import Any, Final, TypeVar

import msgspec
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from offerlog_infrastructure.http.problems import ProblemError, malformed
from offerlog_infrastructure.http.requests.access import is_still_allowed
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.threads.dispatch import run_report
from offerlog_infrastructure.presentation.documents import Document

T = TypeVar("T")

PAGE_BYTES: Final = 4 << 20
"""The items of a page come to no more than this, unless a single one does."""

_PIECE_BYTES: Final = 256 << 10
"""How much of a stream is made at a time: what a reader that does not read keeps in memory."""

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
    document_of: Callable[[T], Document],
    limit: int,
    cursor: Callable[[Document], list[Any]],
    name: str = "items",
) -> Response:
    """The first of them, and a cursor if there are more.

    Args:
        request: Whose answer it is.
        found: The list, from where the page begins.
        document_of: Makes the JSON document of one item.
        limit: The most items of the page; it has fewer where they come to more than `PAGE_BYTES`.
        cursor: Makes the parts of a cursor from the document of the page's last item.
        name: The field that holds the items.

    Raises:
        ReadTimeoutError: The read took longer than it may.
        ClientDisconnect: The client has gone.
    """
    return encoded_answer(await run_report(request, _page, found, document_of, limit, cursor, name))


def _page(
    found: Generator[T],
    document_of: Callable[[T], Document],
    limit: int,
    cursor: Callable[[Document], list[Any]],
    name: str,
) -> bytes:
    items, more = encode_page(found, document_of, limit, cursor)
    return b'{"%b":[%b],"next_cursor":%b}' % (name.encode(), items, more)


def encode_page(
    found: Generator[T],
    document_of: Callable[[T], Document],
    limit: int,
    cursor: Callable[[Document], list[Any]],
) -> tuple[bytes, bytes]:
    """Encode the items of a page, with commas between them, and the cursor or null."""
    items: list[bytes] = []
    size, more, last = 0, None, Document()
    with closing(found):
        for one in found:
            document = document_of(one)
            item = encode_escaped(document)
            size += len(item)
            if len(items) == limit or (items and size > PAGE_BYTES):
                more = cursor_of(cursor(last))
                break
            items.append(item)
            last = document
    return b",".join(items), _encode(more)


def encoded_answer(text: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of JSON that was encoded already, in a thread."""
    return Response(text, headers=headers, media_type="application/json")


def stream_of(
    request: Request, found: Generator[T], document_of: Callable[[T], Document]
) -> StreamingResponse:
    """All of them, one on a line; made piece by piece, each when the one before has been sent.

    Once the caller's key has been revoked or its session has ended, the connection is broken off: a list that
    is cut must not look whole.
    """

    def piece() -> bytes:
        lines, size = [], 0
        for one in found:
            line = encode_escaped(document_of(one)) + b"\n"
            lines.append(line)
            size += len(line)
            if size >= _PIECE_BYTES:
                break
        return b"".join(lines)

    async def pieces() -> AsyncIterator[bytes]:
        with closing(found):
            while more := await run_report(request, piece):
                if not await is_still_allowed(request):
                    raise ProblemError(
                        401, "unauthorized", "the key has been revoked while the list was read"
                    )
                yield more

    return StreamingResponse(pieces(), media_type="application/x-ndjson")
