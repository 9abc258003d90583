"""Sealers of organizations: each seals one kind of text under a key that is derived from the secret."""

import hmac
from weakref import WeakKeyDictionary

from offerlog_domain.identity import OrganizationKey
from offerlog_infrastructure.postgres.store_keys import StoreKeys
from offerlog_infrastructure.sealing import Sealer


class OrganizationSealers:
    """The sealers of one kind of text; thread-safe.

    Args:
        keys: The secrets of the organizations.
        label: Names the kind, so that each has its own key. It does not begin with a digit, as the texts do
            of which digests of visitors are made.
    """

    def __init__(self, keys: StoreKeys, label: bytes) -> None:
        self._keys = keys
        self._label = label
        self._sealers: WeakKeyDictionary[OrganizationKey, Sealer] = WeakKeyDictionary()
        """By the key of the organization, as it goes with a secret that is destroyed."""

    def of(self, organization: str) -> Sealer:
        """Return the sealer of an organization.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt the organization's secret.
        """
        key = self._keys.key(organization)
        known = self._sealers.get(key)
        if known is None:
            secret = self._keys.secret(organization)
            known = self._sealers[key] = Sealer(hmac.digest(secret, self._label, "sha256"))
        return known
