"""Request bodies: bounded, unpacked where they are packed, cut into lines."""

import zlib
from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request

from offerlog_domain.signals import MAX_LINE_BYTES
from offerlog_infrastructure.http.problems import Problem, malformed

MOST_BYTES: Final = 8 << 20
"""The longest body that is read as a whole, unpacked."""

_PIECE: Final = 1 << 16


def media_type(request: Request) -> str:
    """The body's media type, in lower case and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes, unpacked if it is gzip.

    Raises:
        Problem: It is packed in another way, or is broken.
    """
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing in {"", "identity"}:
        async for chunk in request.stream():
            yield chunk
        return
    if packing != "gzip":
        raise Problem(415, "unsupported-media-type", f"{packing} is not understood: send gzip, or plain")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        async for chunk in request.stream():
            waiting = chunk
            while waiting:
                yield unpacker.decompress(waiting, _PIECE)  # a bomb is met piece by piece
                waiting = unpacker.unconsumed_tail
                if unpacker.eof and unpacker.unused_data:
                    waiting, unpacker = unpacker.unused_data, zlib.decompressobj(wbits=31)
        while rest := unpacker.decompress(unpacker.unconsumed_tail, _PIECE):
            yield rest
    except zlib.error as error:
        raise malformed("Content-Encoding", f"the body is no gzip: {error}") from None
    if not unpacker.eof:
        raise malformed("Content-Encoding", "the gzip body breaks off")


async def whole(request: Request) -> bytes:
    """The whole body.

    Raises:
        Problem: It is too long.
    """
    if int(request.headers.get("content-length") or 0) <= MOST_BYTES and not request.headers.get(
        "content-encoding"
    ):
        body = await request.body()
    else:
        parts, size = [], 0
        async for chunk in chunks(request):
            size += len(chunk)
            if size > MOST_BYTES:
                break
            parts.append(chunk)
        body = b"".join(parts) if size <= MOST_BYTES else b"." * (MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise Problem(
            413, "payload-too-large", f"at most {MOST_BYTES >> 20} MiB at once; NDJSON may be of any length"
        )
    return body


async def lines(request: Request) -> AsyncIterator[bytes]:
    """The lines of a body of any length that are not blank; one that is too long is cut, to be refused."""
    rest = b""
    async for chunk in chunks(request):
        *full, rest = (rest + chunk).split(b"\n")
        for line in full:
            if line.strip():
                yield line[: MAX_LINE_BYTES + 1]
        if len(rest) > 2 * MAX_LINE_BYTES:
            rest = rest[: MAX_LINE_BYTES + 1]
    if rest.strip():
        yield rest[: MAX_LINE_BYTES + 1]
