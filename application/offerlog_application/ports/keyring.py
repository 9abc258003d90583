"""The port to the keys that encrypt other keys. They stay outside the store."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from offerlog_domain.errors import OfferlogError


class KeyringError(OfferlogError):
    """The keys of a store cannot be used; the message says where they were looked for, and what to do."""


class WrappedKey(NamedTuple):
    """A key as the store keeps it: encrypted.

    Attributes:
        kek_id: The id of the key that encrypts it.
        data: The encrypted key: 8 bytes longer than the key (RFC 3394).
    """

    kek_id: str
    data: bytes


class Keyring(Protocol):
    """Encrypts and decrypts the keys that a store keeps; thread-safe.

    A keyring holds one key or more, each with an id. It may stand in a file, or come from a
    service for keys. `unwrap` is called for each visitor, so it must not ask another machine each time.
    """

    @property
    def kek_id(self) -> str:
        """The id of the key that `wrap` uses: the newest one. It may be made at the first call.

        Raises:
            KeyringError: The keyring cannot be used.
        """

    def refresh(self) -> None:
        """Forget what may have changed: another process may have made a new key.

        Called when the epoch of the log is raised, and before the keyring is listed. `kek_id` and `wrap` use
        the newest key from then on.

        Raises:
            KeyringError: The keyring cannot be used.
        """

    def check_holds(self, kek_id: str) -> None:
        """Check that keys which were wrapped under this id can be unwrapped.

        Raises:
            KeyringError: They cannot: the keyring does not hold that key.
        """

    def wrap(self, key: bytes) -> WrappedKey:
        """Encrypt a key.

        Args:
            key: 16 bytes or more, a multiple of 8.

        Raises:
            KeyringError: The keyring cannot be used.
        """

    def unwrap(self, kek_id: str, data: bytes) -> bytes:
        """Decrypt a key.

        Raises:
            KeyringError: The keyring does not hold the key that encrypted it, or the bytes were changed.
        """


@runtime_checkable
class ManagedKeyring(Keyring, Protocol):
    """A keyring whose keys offerlog makes and removes. Others are rotated by the service that holds them."""

    def made_at(self) -> Mapping[str, datetime | None]:
        """Return the ids of all keys in the order of their making, each with its time if that is known."""

    def add_key(self) -> str:
        """Make a key, which is the current one from then on, and return its id. It is durable on return.

        Raises:
            KeyringError: The keyring cannot be changed.
        """

    def remove_key(self, kek_id: str) -> None:
        """Remove a key for good. It is not the current one.

        Raises:
            KeyringError: The keyring cannot be changed, or does not hold that key.
        """
