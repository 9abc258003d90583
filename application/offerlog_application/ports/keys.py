"""API keys, each of one organization and with one role."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from offerlog_domain.errors import OfferlogError

_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?")
_USUAL_PORTS: Final = frozenset({("http", "80"), ("https", "443")})

USE_PRECISION: Final = timedelta(minutes=5)
"""Least time between two recorded uses of a key, so that its use costs no write for each request."""


class Role(StrEnum):
    """The rights of the holder of a key."""

    WIDGET = "widget"
    """Write signals only. Such a key may be part of public pages."""

    PAGE = "page"
    """Sign visitor tokens, with which pages ask for offers. The key itself stays on the site's server."""

    SERVICE = "service"
    """Write signals, ask for offers, look up suppressions, eligibility and histories, and read the feed
    without customer ids."""

    REPORTER = "reporter"
    """Read reports, lists, histories, suppressions, eligibility, refusals, the state of the projections, and
    the feed without customer ids."""

    PRIVACY = "privacy"
    """Read all that is held of a visitor, erase a visitor, set and lift legal holds."""

    EVENTS = "events"
    """Read the feed, customer ids included."""

    ADMIN = "admin"
    """All rights of the other roles."""


PUBLIC_ROLES: Final = frozenset({Role.WIDGET, Role.PAGE})
"""Roles of keys for public pages. Such a key names its web origins, or is made for any on purpose."""


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
        revoked_at: The time at which it was revoked; None if it was not.
        expires_at: The time from which it is refused; None if it does not expire.
        last_used_at: A time at which it was used, at most some minutes before the last use; None if no use
            has been recorded.
    """

    id: str
    organization: str
    role: Role
    name: str
    origins: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    def has_expired(self, now: datetime) -> bool:
        """Return True if the key is refused at this time because it has expired."""
        return self.expires_at is not None and self.expires_at <= now


class NotAnOriginError(OfferlogError, ValueError):
    """A text is not a web origin, as browsers send it."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is not a web origin: give scheme, host and port only, such as https://shop.example"
        )


def check_web_origin(text: str) -> str:
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


class KeyExpiryError(OfferlogError, ValueError):
    """A key cannot expire at that time: it has no offset, or has passed."""

    def __init__(self, expires_at: datetime) -> None:
        super().__init__(
            f"a key cannot expire at {expires_at.isoformat()}, which has passed or lacks a UTC offset: give"
            " a future time such as 2027-01-31T00:00:00Z"
        )


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Check that a new key may expire at that time.

    Raises:
        KeyExpiryError: The time has no offset, or has passed.
    """
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now):
        raise KeyExpiryError(expires_at)


class UnknownKeyError(OfferlogError):
    """No key has that id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no key {key_id!r}: see `offerlog keys list`")


class KeySource(Protocol):
    """A source of valid keys by a secret text: that of a key, or one that stands for a key."""

    def find_remembered(self, text: str) -> Key | None:
        """Return the valid key with this text if it was looked up just now, without asking the store."""

    def find(self, text: str) -> Key | None:
        """Return the valid key with this text; None if there is none.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def find_kept(self, text: str) -> Key | None:
        """Return the valid key with this text as its last look-up has found it, without asking the store.

        It is for the time in which the store does not answer, and is forgotten after a quarter of an hour.
        """

    def is_unknown(self, text: str) -> bool:
        """Return True if a look-up has shown that no valid key has this text, without asking the store."""

    def was_valid(self, text: str) -> bool:
        """Return True if a valid key had this text at the last look-up, without asking the store."""


class KeyStore(KeySource, Protocol):
    """The store of keys. It holds digests only, not the texts of keys.

    A key is valid until it is revoked or has expired, by the service's clock. Each method that asks the store
    raises `StoreUnavailableError` if the store cannot be reached.
    """

    def now(self) -> datetime:
        """Return the time by which keys expire: that of the service's clock."""

    def create(
        self,
        organization: str,
        role: Role,
        name: str,
        origins: Sequence[str] = (),
        *,
        expires_at: datetime | None = None,
        hand_over: Callable[[Key, str], None] | None = None,
    ) -> tuple[Key, str]:
        """Make a key, and return it with its text. The text cannot be read again later.

        `hand_over` gives the key to the caller before it is stored. If it raises an error, no key is made.

        Raises:
            KeyExpiryError: `expires_at` has no offset, or has passed.
        """

    def find_expired(self, text: str) -> Key | None:
        """Return the key with this text if a look-up has shown that it expired, without asking the store."""

    def find_remembered_id(self, key_id: str) -> Key | None:
        """Return the valid key with this id if it was looked up just now, without asking the store."""

    def find_kept_id(self, key_id: str) -> Key | None:
        """Return the valid key with this id as its last look-up has found it; see `find_kept`."""

    def find_id(self, key_id: str) -> Key | None:
        """Return the valid key with this id; None if there is none."""

    def signing_secret(self, key: Key) -> bytes:
        """Return the secret that signs the visitor tokens of a page key: the text of the key, as bytes.

        Raises:
            UnknownKeyError: The key is not a page key of this store.
        """

    def record_uses(self) -> int:
        """Store when keys were used since the last call, as far as that is news.

        A use within `USE_PRECISION` of the recorded one, by whatever process, is not stored.

        Returns:
            The number of keys whose last use was stored.

        Raises:
            StoreUnavailableError: The store cannot be reached. The uses are stored at the next call.
        """

    def all(self, organization: str) -> Sequence[Key]:
        """Return the organization's keys in the order in which they were made.

        Keys that were revoked or have expired are included.
        """

    def revoke(self, organization: str, key_id: str) -> Key:
        """Revoke a key, and return it.

        Raises:
            UnknownKeyError: The organization does not have a key with that id.
        """
