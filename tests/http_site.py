"""A running service, as the tests of HTTP see it."""

from dataclasses import dataclass

import httpx

from offerlog_application.keys import Role
from offerlog_infrastructure.service import Offerlog


@dataclass(frozen=True)
class Site:
    """A running service, and clients of it."""

    url: str
    service: Offerlog

    def key(
        self, role: Role = Role.ADMIN, organization: str = "default", origins: tuple[str, ...] = ()
    ) -> str:
        """A new key's text."""
        return self.service.keys.create(organization, role, "a test's", origins)[1]

    def client(self, role: Role = Role.ADMIN, organization: str = "default") -> httpx.Client:
        """A client with a new key of that role."""
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.key(role, organization)}"}, timeout=30
        )
