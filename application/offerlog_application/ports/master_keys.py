"""The port to the keys of the keyring as one store uses them: list, rotate, retire."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from offerlog_application.ports.keyring import KeyringError


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
    """

    def __init__(self, key_id: str, reason: str) -> None:
        super().__init__(f"the key {key_id} stays in the keyring: {reason}")
        self.key_id = key_id


class RotationRunningError(KeyringError):
    """Another process rotates or retires keys of this store."""

    def __init__(self) -> None:
        super().__init__("another process rotates or retires keys of this store: try again when it has ended")


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
