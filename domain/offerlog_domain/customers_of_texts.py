"""The customer whom a text names that is not a valid signal, so that an erasure finds the text.

The search is wider than what is valid: a text that names somebody must go with that visitor. It runs for
refused texts alone. A text that names several visitors cannot go with each of them, so none of it is kept.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeGuard

from offerlog_domain.signals import COOKIE, MAX_NAME_LENGTH

WRAPPERS: Final[Mapping[str, str]] = {
    "eventBody": "this is a notification inside another one: send the inner eventBody as the signal",
    "entities": "this is a page of the vendor's API: send each element of entities as a signal of its own",
}
"""Fields of the vendor's that hold events, and what to send instead."""

_DEEPEST: Final = 3
"""Wrappers that may stand inside each other."""

_LONGEST: Final = 6 * MAX_NAME_LENGTH
"""Characters of an id as JSON may write it, each as an escape."""

_TEXT: Final = rb'"\s{0,20}:\s{0,20}("(?:[^"\\]|\\.){1,%d}")' % _LONGEST
_ID: Final = re.compile(rb'"customerId' + _TEXT, re.DOTALL)
_CUT_ID: Final = re.compile(rb'"customerId"\s{0,20}:\s{0,20}"(?:[^"\\]|\\.){0,%d}\\?\Z' % _LONGEST, re.DOTALL)
_TYPE: Final = re.compile(rb'"customerIdType' + _TEXT, re.DOTALL)


def find_customers(document: Mapping[str, object]) -> set[tuple[str, str]]:
    """Return type and id of each customer whom a document of either wire form names, or a wrapper around it.

    Without a valid type, the type is `cookie`, as where a signal states none.
    """
    found: set[tuple[str, str]] = set()
    for one in (document, *_unwrap(document, _DEEPEST)):
        who, kind = one.get("customerId"), one.get("customerIdType")
        if _is_name(who):
            found.add((kind if _is_name(kind) else COOKIE, who))
    return found


def find_customers_in_text(text: bytes) -> set[tuple[str, str]]:
    """Return type and id of each customer whom a text names that is no JSON, or at another place.

    The first `customerIdType` of the text counts. An id that is cut off is not found (`has_cut_customer`).
    """
    kinds = map(_decode, _TYPE.finditer(text))
    kind = next((one for one in kinds if one is not None), COOKIE)
    return {(kind, who) for found in _ID.finditer(text) if (who := _decode(found)) is not None}


def has_cut_customer(text: bytes) -> bool:
    """Return True if a text ends in the middle of a customer's id: nobody knows whose it is."""
    return _CUT_ID.search(text, max(len(text) - _LONGEST - 64, 0)) is not None


def _unwrap(document: Mapping[str, object], depth: int) -> Iterator[Mapping[str, object]]:
    """Yield the documents inside of a wrapper, also of one inside the other."""
    for field in WRAPPERS:
        inner = document.get(field)
        for one in inner if isinstance(inner, list) else [inner]:
            if isinstance(one, Mapping):
                yield one
                if depth > 1:
                    yield from _unwrap(one, depth - 1)


def _decode(found: re.Match[bytes]) -> str | None:
    try:
        value = json.loads(found[1].decode())
    except ValueError:
        return None
    return value if _is_name(value) else None


def _is_name(value: object) -> TypeGuard[str]:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_LENGTH:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
