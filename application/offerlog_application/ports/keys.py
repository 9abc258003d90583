"""API keys, each of one organization and with one role."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from offerlog_domain.errors import OfferlogError

_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?")
_USUAL_PORTS: Final = frozenset({("http", "80"), ("https", "443")})


class Role(StrEnum):
    """The rights of the holder of a key."""

    WIDGET = "widget"
    """Write signals only. Such a key may be part of public pages."""

    SERVICE = "service"
    """Write signals, ask for offers, look up suppressions."""

    REPORTER = "reporter"
    """Read reports, histories, refusals and the positions of the projections."""

    ADMIN = "admin"
    """All rights of the other roles."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key, without its secret.

    Attributes:
        id: Its public part, which may be logged.
        organization: The organization whose data it opens.
        role: Its rights.
        name: Its name, for people.
        origins: The web origins from which a browser may use it; empty for any.
        created_at: The time at which it was made.
        revoked_at: The time at which it was revoked; None while it is valid.
    """

    id: str
    organization: str
    role: Role
    name: str
    origins: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None


class NotAnOriginError(OfferlogError, ValueError):
    """A text is not a web origin, as browsers send it."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is no web origin: give scheme, host and port alone, as https://shop.example"
        )


def checked_origin(text: str) -> str:
    """Return the text unchanged if it is an origin as browsers send it. No request has any other text.

    An origin is a scheme and a host in lower case, and the port if it is not the usual one. It has neither a
    path nor a slash at its end (RFC 6454, section 6.2).

    Raises:
        NotAnOriginError: The text is not such an origin.
    """
    match = _ORIGIN.fullmatch(text)
    if match is None or (match[1], match[3]) in _USUAL_PORTS:
        raise NotAnOriginError(text)
    return text


class UnknownKeyError(OfferlogError):
    """No key has that id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no key {key_id!r}: see `offerlog keys list`")


class KeyStore(Protocol):
    """The store of keys. It holds digests only, not the texts of keys."""

    def create(
        self,
        organization: str,
        role: Role,
        name: str,
        origins: Sequence[str] = (),
        *,
        hand_over: Callable[[Key, str], None] | None = None,
    ) -> tuple[Key, str]:
        """Make a key, and return it with its text. The text cannot be read again later.

        `hand_over` gives the key to the caller before it is stored. If it raises an error, no key is made.
        """

    def remembered(self, text: str) -> Key | None:
        """Return the valid key with this text if it was looked up just now, without asking the store."""

    def find(self, text: str) -> Key | None:
        """Return the valid key with this text; None if there is none."""

    def is_unknown(self, text: str) -> bool:
        """Return True if a look-up has shown that no key has this text, without asking the store."""

    def was_good(self, text: str) -> bool:
        """Return True if a valid key had this text at the last look-up, without asking the store."""

    def remembered_id(self, key_id: str) -> Key | None:
        """Return the valid key with this id if it was looked up just now, without asking the store."""

    def find_id(self, key_id: str) -> Key | None:
        """Return the valid key with this id; None if there is none."""

    def all(self, organization: str) -> Sequence[Key]:
        """Return the organization's keys in the order in which they were made. Revoked keys are included."""

    def revoke(self, organization: str, key_id: str) -> Key:
        """Revoke a key, and return it.

        Raises:
            UnknownKeyError: The organization does not have a key with that id.
        """
