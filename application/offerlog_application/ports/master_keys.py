"""The port to the keys of the keyring as one store uses them: list, rotate, retire."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from offerlog_application.ports.keyring import Keyring, KeyringError


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A key of the keyring, as one store uses it.

    Attributes:
        id: Its id.
        is_current: True for the key that encrypts new keys.
        made_at: The time at which it was made; None where the keyring does not say.
        used_since: The time since which this store uses it; None if it does not.
        visitors: Number of visitors whose keys it encrypts.
        organizations: Number of organizations whose secrets it encrypts.
    """

    id: str
    is_current: bool
    made_at: datetime | None
    used_since: datetime | None
    visitors: int
    organizations: int


class RotationProgress(NamedTuple):
    """The progress of a rotation.

    Attributes:
        done: Number of keys that were encrypted anew.
        total: Number of keys that were encrypted with another key when it began.
    """

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation that is complete: every key of the store is encrypted with the current key.

    Attributes:
        key_id: The current key.
        is_resumed: True if it completed an earlier rotation, and no key was made.
        visitors: Number of visitors whose keys were encrypted anew.
        organizations: Number of organizations whose secrets were encrypted anew.
    """

    key_id: str
    is_resumed: bool
    visitors: int
    organizations: int


class KeyInUseError(KeyringError):
    """A key of the keyring cannot be retired: it is the current one, or still encrypts keys of this store.

    Attributes:
        key_id: Its id.
        reason: Why.
    """

    def __init__(self, key_id: str, reason: str) -> None:
        super().__init__(f"the key {key_id} stays in the keyring: {reason}")
        self.key_id = key_id
        self.reason = reason


class RotationRunningError(KeyringError):
    """Another process rotates or retires keys of this store."""

    def __init__(self) -> None:
        super().__init__("another process rotates or retires keys of this store: try again when it has ended")


class RewrappedKeys(NamedTuple):
    """Keys that were encrypted anew, by whose they are.

    Attributes:
        visitors: Number of keys of visitors.
        organizations: Number of secrets of organizations.
        webhooks: Number of secrets of webhooks.
    """

    visitors: int = 0
    organizations: int = 0
    webhooks: int = 0


class KeyUses(Protocol):
    """The keys of one store, as long as no other process rotates or retires any.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    @property
    def keyring(self) -> Keyring:
        """The keyring, which all stores of an installation share."""

    def fence(self) -> None:
        """Let writers read the keyring anew, and wait for those that have begun before.

        Raises:
            FenceTimeoutError: Some have not ended.
        """

    def count_left(self) -> int:
        """Count the keys that another key than the current one encrypts."""

    def rewrap(self) -> Iterator[RewrappedKeys]:
        """Encrypt those with the current key, and yield the number of each page.

        Raises:
            KeyringError: The keyring has got another current key meanwhile.
        """

    def check_unused(self, key_id: str) -> None:
        """Check that a key encrypts nothing of the store.

        Raises:
            KeyInUseError: It does.
        """

    def forget_key(self, key_id: str) -> None:
        """Let the store not know a key any more, unless it encrypts something.

        Raises:
            KeyInUseError: It does.
        """

    def forget_remembered(self) -> None:
        """Forget what this process remembers of keys."""


class MasterKeys(Protocol):
    """The keys of the keyring, as one store uses them; thread-safe.

    Each method raises `KeyringError` if the keyring cannot be used, and `StoreUnavailableError` if the store
    cannot be reached.
    """

    def list(self) -> Sequence[MasterKey]:
        """List the keys that the keyring holds or the store has used, in the order of their making."""

    def rotate(self, on_progress: Callable[[RotationProgress], None] | None = None) -> Rotation:
        """Make a new current key, and encrypt every key of the store with it.

        Works page by page while services run, and never touches an event. If keys are still encrypted with a
        former key, an earlier rotation was interrupted: this call completes it, and makes no key.

        Raises:
            RotationRunningError: Another process is at work.
            FenceTimeoutError: Some writers have not ended; the same call continues.
        """

    def retire(self, key_id: str) -> None:
        """Remove a former key from the keyring, if it encrypts nothing of this store any more.

        Other stores and backups that need it can never be opened again.

        Raises:
            KeyInUseError: It is the current key, or encrypts a key of this store.
            RotationRunningError: Another process is at work.
            FenceTimeoutError: Some writers have not ended; nothing was removed.
        """

    def locked(self) -> AbstractContextManager[KeyUses]:
        """Be the only process that rotates or retires keys of the store.

        Raises:
            RotationRunningError: Another process is at work.
        """
