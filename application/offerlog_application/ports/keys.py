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
    """Write signals, nothing else: safe to ship to browsers."""

    SERVICE = "service"
    """Write signals, ask for offers, look up what must not be offered."""

    REPORTER = "reporter"
    """Read reports, histories, refusals and how far the projections are."""

    ADMIN = "admin"
    """All of it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key, without its secret.

    Attributes:
        id: Its public part; safe to log.
        organization: Whose data it opens.
        role: What for.
        name: What it was made for, for people.
        origins: From which web origins a browser may use it; empty for any.
        created_at: When it was made.
        revoked_at: When it was taken back, None while it is good.
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
    """The same text, if it is an origin as a browser sends it; another would match no request.

    That is a scheme and a host in lower case, and the port where it is not the usual one: no path, no slash.

    Raises:
        NotAnOriginError: It is none.
    """
    match = _ORIGIN.fullmatch(text)
    if match is None or (match[1], match[3]) in _USUAL_PORTS:
        raise NotAnOriginError(text)
    return text


class UnknownKeyError(OfferlogError):
    """There is no key of that id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no key {key_id!r}: see `offerlog keys list`")


class KeyStore(Protocol):
    """The store of keys; it keeps digests alone."""

    def create(
        self,
        organization: str,
        role: Role,
        name: str,
        origins: Sequence[str] = (),
        *,
        hand_over: Callable[[Key, str], None] | None = None,
    ) -> tuple[Key, str]:
        """Make a key; returns it and its text, which can never be had again.

        `hand_over` gives the key to whoever asked for it, before it is kept. If it raises an error, no key is
        made.
        """

    def remembered(self, text: str) -> Key | None:
        """The good key with this text if it was looked up just now; asks nobody."""

    def find(self, text: str) -> Key | None:
        """The good key with this text; None where there is none."""

    def is_unknown(self, text: str) -> bool:
        """Return whether this text is known to be no key's, without asking the store."""

    def was_good(self, text: str) -> bool:
        """Return whether this was a good key's text when it was last looked up, without asking the store."""

    def remembered_id(self, key_id: str) -> Key | None:
        """Return the good key with this id if it was looked up just now, without asking the store."""

    def find_id(self, key_id: str) -> Key | None:
        """Return the good key with this id, None where there is none."""

    def all(self, organization: str) -> Sequence[Key]:
        """The organization's keys, revoked ones too, in order of making."""

    def revoke(self, organization: str, key_id: str) -> Key:
        """Take a key back.

        Raises:
            UnknownKeyError: The organization has none of that id.
        """
