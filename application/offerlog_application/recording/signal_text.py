"""A signal in the form in which the caller gave it, and its JSON text, made only when someone needs it.

The text is needed where a signal is refused or parked, which few are. Callers in the same process often give
decoded objects; to make the text of each would cost as much as to decide it.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from offerlog_domain.block_signals import NativeBlock
from offerlog_domain.short_signals import ShortSignal, read_whole_or_short, whole_or_short_from_document
from offerlog_domain.signals import MAX_LINE_BYTES, MalformedSignalError, NativeSignal, Signal, to_native

SignalInput = bytes | bytearray | memoryview | str | Mapping[str, object] | Signal
"""A signal as a caller may give it: JSON text in a wire form, the decoded object, or a `Signal`."""

_encode: Final = json.JSONEncoder(default=str).encode

_DEEPEST_COPY: Final = 4
"""Levels of a decoded object that are copied; the stored form has three."""

_NUMBER_LENGTH: Final = 24
"""Characters of the longest number, boolean or null that is copied."""

_PUNCTUATION: Final = len('"": "", ')
"""Characters that JSON text has around a name and its value."""

_ESCAPE_LENGTH: Final = 12
"""Most characters of JSON text for one character: an escaped surrogate pair."""


class SignalText:
    """A signal as it was given.

    Attributes:
        size: Bytes of its text. Of a text that is not made yet: its number of characters before escaping.

    Raises:
        MalformedSignalError: The object cannot be written as JSON.
    """

    __slots__ = ("_document", "_signal", "_text", "size")

    def __init__(self, given: SignalInput) -> None:
        self._signal: Signal | None = None
        self._document: Mapping[str, object] | None = None
        self._text: bytes | None = None
        if isinstance(given, bytes):
            self._text = given
        elif isinstance(given, (bytearray, memoryview)):
            self._text = bytes(given)
        elif isinstance(given, str):
            self._text = given.encode("utf-8", "surrogatepass")
        elif isinstance(given, Signal):
            self._signal = given
            self.size = _size_of(given)
            return
        elif not _is_document(given):  # a caller in Python may give anything; its text is refused
            self._text = _write(given)
        else:
            copied = _copy(given, _DEEPEST_COPY)
            if copied is not None and copied[1] * _ESCAPE_LENGTH <= MAX_LINE_BYTES:
                self._document, self.size = copied
                return
            self._document = given
            self._text = _write(dict(given))
        self.size = len(self._text)

    def read(self) -> NativeSignal | NativeBlock | ShortSignal:
        """Read the signal: a state of an action, or a blocked offer.

        Raises:
            MalformedSignalError: Names the field at fault, and the reason.
            UntrackedEventError: It is another event of the vendor.
        """
        if self._signal is not None:
            return to_native(self._signal)
        if self._document is not None:
            if self._text is not None and len(self._text) > MAX_LINE_BYTES:
                raise MalformedSignalError(None, f"longer than {MAX_LINE_BYTES // 1024} KiB")
            return whole_or_short_from_document(self._document)
        return read_whole_or_short(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the text: as it came, or JSON made of what came."""
        if self._text is None:
            self._text = (
                _write(dict(self._document or {})) if self._signal is None else self._signal.to_json()
            )
        return self._text


def _is_document(given: object) -> bool:
    return isinstance(given, Mapping)


def _size_of(signal: Signal) -> int:
    ids = 36 * 4 + len(signal.customer_id) + len(signal.customer_id_type)
    return 200 + ids + len(signal.error_message or "") + len(signal.action_map_name or "")


def _write(value: object) -> bytes:
    try:
        return _encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedSignalError(None, f"no JSON object: {error}") from None


def _copy(document: Mapping[Any, object], depth: int) -> tuple[dict[str, object], int] | None:
    """Copy an object that certainly can be written as JSON, so that later changes of it do not matter.

    Returns the copy and the number of its characters; None for any other object.
    """
    copy: dict[str, object] = {}
    size = 2
    for name, value in document.items():
        if not isinstance(name, str):
            return None
        if isinstance(value, str):
            copy[name], length = value, len(value)
        elif value is None or isinstance(value, float) or _is_short(value):
            copy[name], length = value, _NUMBER_LENGTH
        elif isinstance(value, dict) and depth > 1 and (inner := _copy(value, depth - 1)) is not None:
            copy[name], length = inner
        else:
            return None
        size += len(name) + length + _PUNCTUATION
    return copy, size


def _is_short(value: object) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**63
