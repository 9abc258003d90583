"""JSON bodies, cut into the signals of an array: each as it was written, within bounds, in slices of time."""

import json
import re
from typing import Final

import msgspec

from offerlog_domain.signals import MAX_LINE_BYTES
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.threads.turns import Turns

_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_value: Final = msgspec.json.Decoder(msgspec.Raw)
_tolerant: Final = json.JSONDecoder()

_SHORT: Final = 64 << 10
"""Most bytes of a body that is read at once; a longer one is read in slices of time."""

_WINDOW: Final = 16 << 10
"""Bytes that one match of an expression may read, in an element that is longer than a signal may be."""

_DEEPEST: Final = 200
"""Most levels of nesting in an element that is longer than a signal may be."""

_MAX_STEPS: Final = 100_000
"""Most brackets and quotes that are read one by one, in all elements that are not usual signals."""

_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'


def _nested(levels: int) -> bytes:
    """Build an expression that matches objects and arrays with at most so many levels inside."""
    inside = rb"|" + _nested(levels - 1) if levels else b""
    return rb'[\[{](?:[^\[\]{}"]++|' + _STRING + inside + rb")*+[\]}]"


_ELEMENT: Final = re.compile(_nested(3), re.DOTALL)
_SCALAR: Final = re.compile(rb'[^\[\]{}",\s]++')
_BLANK: Final = re.compile(rb"[ \t\r\n]*+")
_PLAIN: Final = re.compile(rb'[^\[\]{}"]*+')
_OPENING: Final = re.compile(rb"[\[{]++")
_IN_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


async def split_signals(body: bytes, most: int) -> list[bytes]:
    """Split an array into its elements, at most one more than `most`; any other value is returned alone.

    An element that is JSON by its syntax but has no meaning, such as half of a surrogate pair, does not spoil
    the others. An element that is longer than a signal may be is cut; the application refuses it.

    Raises:
        ProblemError: 400, the body is not one JSON value.
    """
    if len(body) <= _SHORT:
        try:
            if body.lstrip()[:1] != b"[":
                _value.decode(body)
                return [body]
            return [bytes(one) for one in _array.decode(body)[: most + 1]]
        except (msgspec.DecodeError, RecursionError):
            pass  # the slow reading below accepts more, and its errors are precise
    try:
        return await _Cutter(body).cut(most)
    except ValueError as error:
        raise malformed(None, f"the body is not one JSON value: {error}") from None


class _Cutter:
    """Finds the end of each element of a body, without decoding the element."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._steps = 0
        self._turns = Turns()

    async def cut(self, most: int) -> list[bytes]:
        await self._skip_blanks()
        if self._next() != b"[":
            value = await self._element()
            await self._end()
            return [value]
        self._at += 1
        await self._skip_blanks()
        found: list[bytes] = []
        if self._next() == b"]":
            self._at += 1
            await self._end()
            return found
        while len(found) <= most:
            found.append(await self._element())
            await self._skip_blanks()
            mark = self._next()
            if mark not in {b",", b"]"}:
                raise ValueError(f"',' or ']' is missing at byte {self._at}")
            self._at += 1
            if mark == b"]":
                await self._end()
                return found
            await self._skip_blanks()
        return found

    def _next(self) -> bytes:
        return self._body[self._at : self._at + 1]

    async def _skip_blanks(self) -> None:
        while True:
            found = _BLANK.match(self._body, self._at, self._at + _WINDOW)
            self._at = found.end() if found else self._at
            await self._turns.pass_on()
            if not found or len(found.group()) < _WINDOW:
                return

    async def _end(self) -> None:
        await self._skip_blanks()
        if self._at < len(self._body):
            raise ValueError(
                f"there is more behind it, at byte {self._at}; many signals are an array, or NDJSON with"
                " Content-Type: application/x-ndjson"
            )

    async def _element(self) -> bytes:
        start = self._at
        mark = self._next()
        kind = _ELEMENT if mark in {b"[", b"{"} else _SCALAR
        found = kind.match(self._body, start, start + MAX_LINE_BYTES + 1)
        if found and found.end() <= start + MAX_LINE_BYTES:
            self._at = found.end()
        elif mark in {b"[", b"{", b'"'}:
            await self._skip_long()
        else:
            raise ValueError(f"a value is missing at byte {start}")
        await self._turns.pass_on()
        element = self._body[start : min(self._at, start + MAX_LINE_BYTES + 1)]
        if len(element) <= MAX_LINE_BYTES:
            _check(element, start)
        return element

    async def _skip_long(self) -> None:
        """Skip an element that is nested deeply, or long, or a string."""
        start, depth, in_string = self._at, 0, False
        while True:
            if depth or in_string:
                inside = _IN_STRING if in_string else _PLAIN
                found = inside.match(self._body, self._at, self._at + _WINDOW)
                self._at = found.end() if found else self._at
            mark = self._next()
            if not mark or (mark == b"\\" and self._at + 1 == len(self._body)):
                raise ValueError(f"what begins at byte {start} does not end")
            if mark == b'"':
                in_string = not in_string
                self._at += 1
            elif not in_string and mark in b"[{":
                opening = _OPENING.match(self._body, self._at, self._at + _WINDOW)
                depth += len(opening.group()) if opening else 0
                self._at = opening.end() if opening else self._at
            elif not in_string and mark in b"]}":
                depth -= 1
                self._at += 1
            if not depth and not in_string and mark in b'"]}':
                return
            self._steps += 1
            if self._steps > _MAX_STEPS or (depth > _DEEPEST and self._at - start > MAX_LINE_BYTES):
                raise ValueError(f"what begins at byte {start} is nested too deeply, or holds too much")
            await self._turns.pass_on()


def _check(element: bytes, start: int) -> None:
    """Check that an element is JSON.

    Raises:
        ValueError: It is not.
    """
    try:
        _value.decode(element)
    except (msgspec.DecodeError, RecursionError):
        try:
            _tolerant.decode(element.decode())
        except RecursionError:
            pass  # the application refuses the element
        except json.JSONDecodeError as error:
            raise ValueError(f"{error.msg} at byte {start + error.pos}") from None
