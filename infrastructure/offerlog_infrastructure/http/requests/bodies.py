"""Request bodies: bounded, unpacked where they are packed, cut into lines."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from offerlog_domain.signals import MAX_LINE_BYTES
from offerlog_infrastructure.http.problems import ProblemError, malformed
from offerlog_infrastructure.http.requests.access import while_key_is_good
from offerlog_infrastructure.http.requests.foreign_text import FIRST_BYTES, UTF_8_MARK, foreign
from offerlog_infrastructure.http.requests.unpacking import PIECE, Unpacker
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.threads.turns import Turns

MOST_BYTES: Final = 8 << 20
"""The longest body that is read as a whole, unpacked."""

MOST_QUESTION_BYTES: Final = 1 << 20
"""The longest question: a thousand visitors, each with an id of the longest kind."""

_MOST_COLONS: Final = 20_000

JSON_TYPES: Final = frozenset({"application/json", ""})
"""Media types of a JSON body; to name none is to mean it."""

MAX_FORM_BYTES: Final = 4 << 10
"""The longest form of the dashboard: a key, a page and a token fit in many times."""

_MAX_FORM_FIELDS: Final = 16

FREE_LINES: Final = 1_000
"""Lines of a packed body, blank ones too, that are taken whatever it was packed to."""

_SENT_BYTES_A_LINE: Final = 4
"""Bytes of a packed body that each further line must have taken: a signal takes twenty and more."""

Model = TypeVar("Model", bound=BaseModel)


def media_type(request: Request) -> str:
    """The body's media type, in lower case and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class Reading:
    """The pieces of one body as they come, unpacked if it is gzip; the loop has turns in between.

    Args:
        request: Whose body.
        packed: Whether it may be packed.

    Attributes:
        sent: Bytes that have come, packed as they are.
    """

    def __init__(self, request: Request, *, packed: bool = True) -> None:
        self.sent = 0
        self._request = request
        packing = request.headers.get("content-encoding", "identity").strip().lower() or "identity"
        if packing != "identity" and not (packed and packing == "gzip"):
            cause = (
                f"{packing} is not understood: send gzip, or plain" if packed else "this is taken plain alone"
            )
            raise ProblemError(415, "unsupported-media-type", cause)
        self.unpacker = Unpacker() if packing == "gzip" else None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, at most 64 KiB at a time.

        Raises:
            Problem: It is not gzip although it says so, or unpacks to too much.
        """
        turns = Turns()
        async for chunk in self._request.stream():
            self.sent += len(chunk)
            for piece in self.unpacker.unpack(chunk) if self.unpacker else _cut(chunk):
                if piece:
                    yield piece
                await turns.pass_on()
        if self.unpacker:
            self.unpacker.finish()

    async def text(self) -> AsyncIterator[bytes]:
        """The pieces of a body that is UTF-8 text, without a byte order mark.

        Raises:
            Problem: It begins as no UTF-8 text does; or as for the pieces.
        """
        first, begun = b"", False
        async for piece in self.pieces():
            if begun:
                yield piece
                continue
            first += piece
            if len(first) >= FIRST_BYTES:
                begun = True
                yield _checked(first)
        if not begun and first:
            yield _checked(first)


def _cut(chunk: bytes) -> Iterator[bytes]:
    if len(chunk) <= PIECE:
        yield chunk
        return
    for at in range(0, len(chunk), PIECE):
        yield chunk[at : at + PIECE]


def _checked(first: bytes) -> bytes:
    wrong = foreign(first)
    if wrong is not None:
        raise malformed(None, wrong)
    return first.removeprefix(UTF_8_MARK)


async def whole(request: Request, most: int = MOST_BYTES, *, advice: str = "") -> bytes:
    """The whole body, unpacked and without a byte order mark.

    Args:
        request: Whose body.
        most: The most bytes, unpacked.
        advice: What somebody with a longer one can do.

    Raises:
        Problem: It is too long, or what is held of all bodies is too much.
    """
    reading = Reading(request)
    too_long = ProblemError(413, "payload-too-large", f"at most {_size(most)} at once with this key{advice}")
    if reading.unpacker is None and int(request.headers.get("content-length") or 0) > most:
        raise too_long
    parts, size = [], 0
    host = request.client.host if request.client else None
    with state_of(request).held_bodies.holding(host) as held:
        async for piece in reading.text():
            size += len(piece)
            if size > most:
                raise too_long
            held.grow(len(piece))
            parts.append(piece)
        return b"".join(parts)


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


async def form(request: Request) -> dict[str, str]:
    """Read the fields of a form as browsers send it; of a repeated field, the first value.

    Whoever sends it has not shown a key yet, so that the bounds are narrow: `MAX_FORM_BYTES`,
    `_MAX_FORM_FIELDS`, never packed.

    Raises:
        Problem: The form is too long, is packed, or has too many fields.
    """
    body = bytearray()
    async for piece in Reading(request, packed=False).pieces():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            raise ProblemError(413, "payload-too-large", f"a form has at most {MAX_FORM_BYTES >> 10} KiB")
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_MAX_FORM_FIELDS)
    except ValueError:
        raise malformed(None, f"a form has at most {_MAX_FORM_FIELDS} fields") from None
    return {name: values[0] for name, values in fields.items()}


def body_as(model: type[Model], most: int = MOST_QUESTION_BYTES) -> Any:
    """A dependency: the body, read once the caller is known to be allowed, as this model.

    Its problem names the field at fault by its way from the root.

    Args:
        model: What the body is read as.
        most: The most bytes.
    """

    async def read(request: Request) -> Model:
        kind = media_type(request)
        if kind not in JSON_TYPES:
            raise ProblemError(
                415,
                "unsupported-media-type",
                f"{kind} is not understood: send application/json",
                field="Content-Type",
            )
        try:
            body = await whole(while_key_is_good(request), most)
            if body.count(b":") > _MOST_COLONS:  # a fault of each of them would be written out
                raise malformed(None, "too many fields")
            return model.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            # A misspelt `actionId`, left out of account, would make every retry another offer.
            cause = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
            raise malformed(".".join(map(str, first["loc"])) or None, cause) from None

    return Depends(read)


async def lines(request: Request, most_bytes: int | None = None) -> AsyncIterator[bytes]:
    """The lines of a body of any length that are not blank; one that is too long is cut, to be refused.

    Args:
        request: Whose body.
        most_bytes: The most bytes, unpacked; None for any number.

    Raises:
        Problem: There are more lines than what was sent can honestly hold, or more bytes than allowed.
    """
    reading = Reading(request)
    rest, size, count = b"", 0, 0
    async for piece in reading.text():
        size += len(piece)
        if most_bytes is not None and size > most_bytes:
            raise ProblemError(
                413, "payload-too-large", f"at most {_size(most_bytes)} in a request with this key"
            )
        count += piece.count(b"\n")
        if reading.unpacker and count > FREE_LINES + reading.sent // _SENT_BYTES_A_LINE:
            raise ProblemError(
                413,
                "payload-too-large",
                f"{count:,} lines of {reading.sent:,} bytes packed: send them plain, or in parts",
            )
        *full, rest = (rest + piece).split(b"\n")
        for line in full:
            if line.strip():
                yield line[: MAX_LINE_BYTES + 1]
        if len(rest) > 2 * MAX_LINE_BYTES:
            rest = rest[: MAX_LINE_BYTES + 1]
    if rest.strip():
        yield rest[: MAX_LINE_BYTES + 1]
