"""Request bodies: bounded, unpacked where they are packed, cut into lines."""

import zlib
from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from offerlog_domain.signals import MAX_LINE_BYTES
from offerlog_infrastructure.http.problems import Problem, malformed

MOST_BYTES: Final = 8 << 20
"""The longest body that is read as a whole, unpacked."""

JSON_TYPES: Final = frozenset({"application/json", ""})
"""Media types of a JSON body; to name none is to mean it."""

MAX_FORM_BYTES: Final = 4 << 10
"""The longest form of the dashboard: a key, a page and a token fit in many times."""

_MAX_FORM_FIELDS: Final = 16
_PIECE: Final = 1 << 16

Model = TypeVar("Model", bound=BaseModel)


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
    parts, size = [], 0
    told = int(request.headers.get("content-length") or 0)
    if told <= MOST_BYTES or request.headers.get("content-encoding"):
        async for chunk in chunks(request):
            size += len(chunk)
            if size > MOST_BYTES:
                break
            parts.append(chunk)
        else:
            return b"".join(parts)
    raise Problem(
        413, "payload-too-large", f"at most {MOST_BYTES >> 20} MiB at once; NDJSON may be of any length"
    )


async def form(request: Request) -> dict[str, str]:
    """Read the fields of a form as browsers send it; of a repeated field, the first value.

    Whoever sends it has not shown a key yet, so that the bounds are narrow: `MAX_FORM_BYTES`,
    `_MAX_FORM_FIELDS`, never packed.

    Raises:
        Problem: The form is too long, is packed, or has too many fields.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise Problem(415, "unsupported-media-type", "a form is sent plain", field="Content-Encoding")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise Problem(413, "payload-too-large", f"a form has at most {MAX_FORM_BYTES >> 10} KiB")
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_MAX_FORM_FIELDS)
    except ValueError:
        raise malformed(None, f"a form has at most {_MAX_FORM_FIELDS} fields") from None
    return {name: values[0] for name, values in fields.items()}


def body_as(model: type[Model]) -> Any:
    """A dependency: the body, read once the caller is known to be allowed, as this model.

    Its problem names the field at fault by its way from the root.
    """

    async def read(request: Request) -> Model:
        kind = media_type(request)
        if kind not in JSON_TYPES:
            raise Problem(
                415,
                "unsupported-media-type",
                f"{kind} is not understood: send application/json",
                field="Content-Type",
            )
        try:
            return model.model_validate_json(await whole(request))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            # A misspelt `actionId`, left out of account, would make every retry another offer.
            cause = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
            raise malformed(".".join(map(str, first["loc"])) or None, cause) from None

    return Depends(read)


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
