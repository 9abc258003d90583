"""API keys in memory."""

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keys import Key, Role, UnknownKeyError
from offerlog_application.ports.organizations import check_organization


class MemoryKeys:
    """The application's `KeyStore`; thread-safe.

    Args:
        clock: Dates the keys.
        note_organization: Called with the organization of every key that is made.
    """

    def __init__(self, clock: Clock, note_organization: Callable[[str], None]) -> None:
        self._clock = clock
        self._note_organization = note_organization
        self._keys: dict[str, Key] = {}
        self._texts: dict[str, str] = {}
        self._lock = threading.Lock()

    def create(
        self,
        organization: str,
        role: Role,
        name: str,
        origins: Sequence[str] = (),
        *,
        hand_over: Callable[[Key, str], None] | None = None,
    ) -> tuple[Key, str]:
        """Make a key; returns it and its text. If `hand_over` raises an error, no key is made.

        Raises:
            OrganizationNameError: The organization's name is not valid.
        """
        check_organization(organization)
        key_id = secrets.token_hex(6)
        text = f"ofl_{role.value}_{key_id}_{secrets.token_urlsafe(32)}"
        key = Key(key_id, organization, role, name, tuple(origins), self._clock.now())
        if hand_over is not None:
            hand_over(key, text)
        with self._lock:
            self._keys[key_id], self._texts[text] = key, key_id
        self._note_organization(organization)
        return key, text

    def find(self, text: str) -> Key | None:
        """Return the good key with this text; None where there is none."""
        return self.find_id(self._texts.get(text, ""))

    def find_id(self, key_id: str) -> Key | None:
        """Return the good key with this id; None where there is none."""
        key = self._keys.get(key_id)
        return key if key is not None and key.revoked_at is None else None

    def remembered(self, text: str) -> Key | None:
        """As `find`: all keys are at hand."""
        return self.find(text)

    def remembered_id(self, key_id: str) -> Key | None:
        """As `find_id`: all keys are at hand."""
        return self.find_id(key_id)

    def is_unknown(self, text: str) -> bool:
        """Return whether this text is no key's."""
        return text not in self._texts

    def was_good(self, text: str) -> bool:
        """Return whether this is a good key's text."""
        return self.find(text) is not None

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
