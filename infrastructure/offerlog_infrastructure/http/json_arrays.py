"""JSON arrays cut into their elements, each as it was written."""

import json
from collections.abc import Iterator
from typing import Final

import msgspec

from offerlog_domain.wire import nesting
from offerlog_infrastructure.http.problems import malformed

_fast: Final = msgspec.json.Decoder(list[msgspec.Raw])
_tolerant: Final = json.JSONDecoder()

_BLANK: Final = " \t\r\n"


def elements(body: bytes) -> list[bytes]:
    """The text of each element.

    What is written as JSON but means nothing, such as half of a surrogate pair that a page has cut in two, is
    the fault of its element alone.

    Raises:
        Problem: The body is no JSON array.
    """
    try:
        return [bytes(one) for one in _fast.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        pass  # the slow reading below takes more, and says what is wrong
    try:
        return [one.encode() for one in _cut(body.decode())]
    except ValueError as error:
        raise malformed(None, f"the body is no JSON array: {error}") from None


def _cut(text: str) -> Iterator[str]:
    at = _past(text, 0, "[")
    if text[at : at + 1] == "]":
        _ended(text, at + 1)
        return
    while True:
        try:
            _, end = _tolerant.raw_decode(text, at)
        except RecursionError:  # it is for whoever reads the element to say so
            end = next((behind for behind, depth in nesting(text, at) if not depth), len(text))
        yield text[at:end]
        at = _blank(text, end)
        if text[at : at + 1] == "]":
            _ended(text, at + 1)
            return
        at = _past(text, at, ",")


def _past(text: str, at: int, mark: str) -> int:
    at = _blank(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"{mark!r} is missing at character {at}")
    return _blank(text, at + 1)


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _ended(text: str, at: int) -> None:
    if _blank(text, at) != len(text):
        raise ValueError(f"there is more behind it at character {at}")
