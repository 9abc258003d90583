"""API keys in memory, and a keyring that holds nothing."""

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keyring import KeyringError
from offerlog_application.ports.keys import USE_PRECISION, Key, Role, UnknownKeyError, check_expiry
from offerlog_application.ports.master_keys import KeyUses, MasterKey, Rotation, RotationProgress
from offerlog_application.ports.organizations import check_organization


class MemoryKeys:
    """The application's `KeyStore`; thread-safe.

    A method has the errors of the method of `KeyStore`, and those that it names.

    Args:
        clock: Dates the keys.
        note_organization: Called with the organization of every key that is made.
    """

    def __init__(self, clock: Clock, note_organization: Callable[[str], None]) -> None:
        self._clock = clock
        self._note_organization = note_organization
        self._keys: dict[str, Key] = {}
        self._texts: dict[str, str] = {}
        self._used: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time by which keys expire."""
        return self._clock.now()

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
        """Make a key; returns it and its text. If `hand_over` raises an error, no key is made.

        Raises:
            OrganizationNameError: The organization's name is not valid.
        """
        check_organization(organization)
        now = self._clock.now()
        check_expiry(expires_at, now)
        key_id = secrets.token_hex(6)
        text = f"ofl_{role.value}_{key_id}_{secrets.token_urlsafe(32)}"
        key = Key(key_id, organization, role, name, tuple(origins), now, expires_at=expires_at)
        if hand_over is not None:
            hand_over(key, text)
        with self._lock:
            self._keys[key_id], self._texts[text] = key, key_id
        self._note_organization(organization)
        return key, text

    def find(self, text: str) -> Key | None:
        """Return the valid key with this text; None where there is none."""
        return self.find_id(self._texts.get(text, ""))

    def find_id(self, key_id: str) -> Key | None:
        """Return the valid key with this id; None where there is none."""
        key, now = self._keys.get(key_id), self._clock.now()
        if key is None or key.revoked_at is not None or key.has_expired(now):
            return None
        with self._lock:
            self._used[key_id] = now
        return key

    def find_remembered(self, text: str) -> Key | None:
        """As `find`: memory holds all keys."""
        return self.find(text)

    def find_remembered_id(self, key_id: str) -> Key | None:
        """As `find_id`: memory holds all keys."""
        return self.find_id(key_id)

    def find_kept(self, text: str) -> Key | None:
        """As `find`: memory holds all keys."""
        return self.find(text)

    def find_kept_id(self, key_id: str) -> Key | None:
        """As `find_id`: memory holds all keys."""
        return self.find_id(key_id)

    def is_unknown(self, text: str) -> bool:
        """Return whether this text is not a valid key's."""
        return text not in self._texts or self.find_expired(text) is not None

    def find_expired(self, text: str) -> Key | None:
        """Return the key with this text if it has expired and was not revoked."""
        key = self._keys.get(self._texts.get(text, ""))
        if key is None or key.revoked_at is not None:
            return None
        return key if key.has_expired(self._clock.now()) else None

    def was_valid(self, text: str) -> bool:
        """Return whether this is a valid key's text."""
        return self.find(text) is not None

    def signing_secret(self, key: Key) -> bytes:
        """Return the secret that signs the visitor tokens of a page key: the text of the key, as bytes."""
        with self._lock:
            for text, key_id in self._texts.items():
                if key_id == key.id and key.role is Role.PAGE:
                    return text.encode()
        raise UnknownKeyError(key.id)

    def record_uses(self) -> int:
        """Note in the keys when they were used since the last call, as far as that is news."""
        with self._lock:
            used, self._used = self._used, {}
            due = [
                replace(key, last_used_at=used_at)
                for key, used_at in ((self._keys[name], used_at) for name, used_at in used.items())
                if key.last_used_at is None or key.last_used_at <= used_at - USE_PRECISION
            ]
            self._keys |= {key.id: key for key in due}
            return len(due)

    def all(self, organization: str) -> Sequence[Key]:
        """Return the organization's keys, revoked ones too, in order of making."""
        with self._lock:
            return [key for key in self._keys.values() if key.organization == organization]

    def revoke(self, organization: str, key_id: str) -> Key:
        """Take a key back.

        Raises:
            UnknownKeyError: The organization has no key of that id.
        """
        with self._lock:
            key = self._keys.get(key_id)
            if key is None or key.organization != organization:
                raise UnknownKeyError(key_id)
            revoked = key if key.revoked_at is not None else replace(key, revoked_at=self._clock.now())
            self._keys[key_id] = revoked
            return revoked


class MemoryMasterKeys:
    """The application's `MasterKeys` of a service in memory, which encrypts nothing."""

    def list(self) -> Sequence[MasterKey]:
        """Return that there are none."""
        return ()

    def rotate(self, on_progress: Callable[[RotationProgress], None] | None = None) -> Rotation:
        """Refuse.

        Raises:
            KeyringError: Always.
        """
        del on_progress
        raise KeyringError("a service in memory has no keyring")

    def retire(self, key_id: str) -> None:
        """Refuse.

        Raises:
            KeyringError: Always.
        """
        del key_id
        raise KeyringError("a service in memory has no keyring")

    def locked(self) -> AbstractContextManager[KeyUses]:
        """Refuse.

        Raises:
            KeyringError: Always.
        """
        raise KeyringError("a service in memory has no keyring")
