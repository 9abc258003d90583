"""Request bodies: read within bounds, unpacked from gzip, cut into lines."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.types import Message

from offerlog_domain.signals import MAX_LINE_BYTES
from offerlog_infrastructure.http.problems import ProblemError, malformed
from offerlog_infrastructure.http.requests.access import end_with_key
from offerlog_infrastructure.http.requests.foreign_text import FIRST_BYTES, UTF_8_MARK, recognize_foreign
from offerlog_infrastructure.http.requests.headers import find_header
from offerlog_infrastructure.http.requests.held_bodies import FREE_BYTES
from offerlog_infrastructure.http.requests.unpacking import PIECE, Unpacker
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.turns import Turns

MAX_BYTES: Final = 8 << 20
"""Most bytes of a body that is read as a whole, unpacked."""

MAX_QUESTION_BYTES: Final = 1 << 20
"""Most bytes of a question: a thousand visitors with the longest ids fit."""

_MAX_COLONS: Final = 20_000
"""Most colons of a question; more of them cannot be fields of its model."""

JSON_TYPES: Final = frozenset({"application/json", ""})
"""Media types of a JSON body; a request without a Content-Type is taken as JSON."""

MAX_FORM_BYTES: Final = 4 << 10
"""Most bytes of a form of the dashboard: a key, a page and a token fit many times."""

_MAX_FORM_FIELDS: Final = 16

FREE_LINES: Final = 1_000
"""Lines of a packed body, blank ones too, to which the limit of packing does not apply."""

_SENT_BYTES_PER_LINE: Final = 4
"""Packed bytes that each further line must have taken; a signal takes twenty or more."""

Model = TypeVar("Model", bound=BaseModel)


def media_type(request: Request) -> str:
    """Return the media type of the body, in lower case and without parameters."""
    return (find_header(request, b"content-type") or "").partition(";")[0].strip().lower()


class BodyReader:
    """Reader of one body in pieces, unpacked if it is gzip; between pieces, other work of the loop runs.

    Args:
        request: The request with the body.
        may_be_packed: The body may be gzip.

    Attributes:
        received_bytes: Bytes that have arrived, before unpacking.
        unpacker: Unpacks the body; None for a plain one.

    Raises:
        ProblemError: 415, the body is packed in a way that is not accepted.
    """

    def __init__(self, request: Request, *, may_be_packed: bool = True) -> None:
        self.received_bytes = 0
        self._request = request
        packing = (find_header(request, b"content-encoding") or "").strip().lower() or "identity"
        if packing != "identity" and not (may_be_packed and packing == "gzip"):
            cause = (
                f"{packing} is not understood: send gzip, or plain"
                if may_be_packed
                else "this is taken plain alone"
            )
            raise ProblemError("unsupported-media-type", cause)
        self.unpacker = Unpacker() if packing == "gzip" else None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body, at most 64 KiB at a time.

        Raises:
            ProblemError: The body is not gzip although it says so, or it unpacks to too many bytes.
        """
        turns = Turns()
        async for chunk in self._request.stream():
            self.received_bytes += len(chunk)
            for piece in self.unpacker.unpack(chunk) if self.unpacker else _cut(chunk):
                if piece:
                    yield piece
                await turns.pass_on()
        if self.unpacker:
            self.unpacker.finish()

    async def text(self) -> AsyncIterator[bytes]:
        """Yield the pieces of a body that is UTF-8 text, without a byte order mark.

        Raises:
            ProblemError: The first bytes cannot be UTF-8 text; or as `pieces` raises it.
        """
        first, has_begun = b"", False
        async for piece in self.pieces():
            if has_begun:
                yield piece
                continue
            first += piece
            if len(first) >= FIRST_BYTES:
                has_begun = True
                yield _check_text(first)
        if not has_begun and first:
            yield _check_text(first)


def _cut(chunk: bytes) -> Iterator[bytes]:
    if len(chunk) <= PIECE:
        yield chunk
        return
    for at in range(0, len(chunk), PIECE):
        yield chunk[at : at + PIECE]


def _check_text(first: bytes) -> bytes:
    wrong = recognize_foreign(first)
    if wrong is not None:
        raise malformed(None, wrong)
    return first.removeprefix(UTF_8_MARK)


async def read_whole(request: Request, most: int = MAX_BYTES, *, advice: str = "") -> bytes:
    """Read the whole body, unpacked and without a byte order mark.

    Args:
        request: The request with the body.
        most: Most bytes, unpacked.
        advice: Words for the error about a longer body: what its sender can do.

    Raises:
        ProblemError: The body is too long, or all bodies together take up too much memory.
    """
    reader = BodyReader(request)
    if reader.unpacker is None:
        if int(find_header(request, b"content-length") or 0) > most:
            raise _too_long(most, advice)
        first = await request.receive()
        body = _body_of(first)
        if body is not None:
            if len(body) > most:
                raise _too_long(most, advice)
            return _check_text(body)
        reader = BodyReader(_give_back(first, request))
    parts, size = [], 0
    host = request.client.host if request.client else None
    with state_of(request).held_bodies.holding(host) as held:
        async for piece in reader.text():
            size += len(piece)
            if size > most:
                raise _too_long(most, advice)
            held.grow(len(piece))
            parts.append(piece)
        return b"".join(parts)


def _too_long(most: int, advice: str) -> ProblemError:
    return ProblemError("payload-too-large", f"at most {_format_size(most)} at once with this key{advice}")


def _body_of(message: Message) -> bytes | None:
    """Return the whole body if this message has all of it, as that of a page view's request; else None.

    Its bytes do not count among the held ones, and they are one piece.
    """
    if message["type"] != "http.request" or message.get("more_body", False):
        return None
    body: bytes = message.get("body", b"")
    return body if len(body) <= FREE_BYTES else None


def _give_back(first: Message, request: Request) -> Request:
    """Return the same request, whose first message is received once more."""
    waiting = [first]

    async def receive() -> Message:
        return waiting.pop() if waiting else await request.receive()

    return Request(request.scope, receive)


def _format_size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a form as browsers send it; of a repeated field, the first value.

    The sender has not shown a key yet, so the bounds are narrow: `MAX_FORM_BYTES`, `_MAX_FORM_FIELDS`, never
    packed.

    Raises:
        ProblemError: The form is too long, is packed, or has too many fields.
    """
    body = bytearray()
    async for piece in BodyReader(request, may_be_packed=False).pieces():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            raise ProblemError("payload-too-large", f"a form has at most {MAX_FORM_BYTES >> 10} KiB")
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_MAX_FORM_FIELDS)
    except ValueError:
        raise malformed(None, f"a form has at most {_MAX_FORM_FIELDS} fields") from None
    return {name: values[0] for name, values in fields.items()}


def body_as(model: type[Model], most: int = MAX_QUESTION_BYTES) -> Any:
    """Build a dependency that reads the body as this model, once the caller is known to be allowed.

    Its errors name the field at fault by its path from the root.

    Args:
        model: The model of the body.
        most: Most bytes of the body.
    """

    async def read(request: Request) -> Model:
        kind = media_type(request)
        if kind not in JSON_TYPES:
            raise ProblemError(
                "unsupported-media-type",
                f"{kind} is not understood: send application/json",
                field="Content-Type",
            )
        try:
            body = await read_whole(end_with_key(request), most)
            if body.count(b":") > _MAX_COLONS:  # the error would list a fault for each of them
                raise malformed(None, "too many fields")
            return model.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            # If a misspelt `actionId` were ignored, every retry would make another offer.
            cause = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
            raise malformed(".".join(map(str, first["loc"])) or None, cause) from None

    return Depends(read)


async def lines(request: Request, most_bytes: int | None = None) -> AsyncIterator[bytes]:
    """Yield the lines of a body of any length that are not blank; a line that is too long is cut.

    The application refuses a line that was cut, because it is still longer than a signal may be.

    Args:
        request: The request with the body.
        most_bytes: Most bytes, unpacked; None for any number.

    Raises:
        ProblemError: 413, the body has more bytes than allowed, or more lines than its packed bytes can hold.
    """
    reader = BodyReader(request)
    rest, size, count = b"", 0, 0
    async for piece in reader.text():
        size += len(piece)
        if most_bytes is not None and size > most_bytes:
            raise ProblemError(
                "payload-too-large", f"at most {_format_size(most_bytes)} in a request with this key"
            )
        count += piece.count(b"\n")
        if reader.unpacker and count > FREE_LINES + reader.received_bytes // _SENT_BYTES_PER_LINE:
            raise ProblemError(
                "payload-too-large",
                f"{count:,} lines of {reader.received_bytes:,} bytes packed: send them plain, or in parts",
            )
        *full, rest = (rest + piece).split(b"\n")
        for line in full:
            if line.strip():
                yield line[: MAX_LINE_BYTES + 1]
        if len(rest) > 2 * MAX_LINE_BYTES:
            rest = rest[: MAX_LINE_BYTES + 1]
    if rest.strip():
        yield rest[: MAX_LINE_BYTES + 1]
