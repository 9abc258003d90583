"""Stand-in until the keyring lands."""

import secrets

from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

from offerlog_infrastructure.postgres.errors import ask_again, store_reached

KEK = b"k" * 32


class StoreKeys:
    def __init__(self, datastore):
        self._d = datastore
        self._s = {}

    def wrap(self, key):
        return 1, aes_key_wrap(KEK, key)

    def unwrap(self, kek, data):
        return aes_key_unwrap(KEK, data)

    def find_secret(self, organization):
        if organization in self._s:
            return self._s[organization]
        with store_reached(self._d), self._d.cursor() as c:
            row = c.execute(
                "SELECT secret FROM organizations WHERE organization=%s", (organization,)
            ).fetchone()
            if row:
                self._s[organization] = bytes(row["secret"])
            return bytes(row["secret"]) if row else None

    def secret(self, organization):
        def go():
            s = self.find_secret(organization)
            if s is None:
                with self._d.cursor() as c:
                    c.execute(
                        "INSERT INTO organizations (organization, secret) VALUES (%s,%s) ON CONFLICT DO NOTHING",
                        (organization, secrets.token_bytes(32)),
                    )
                s = self.find_secret(organization)
            return s

        return ask_again(go)
