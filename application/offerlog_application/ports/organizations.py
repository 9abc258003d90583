"""Organizations, which are the tenants: the rule for their names, and the port to those of a store."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from offerlog_domain.errors import OfferlogError

NAME_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""A regular expression that the whole name of an organization or of a subscription must match."""

NAME_RULE: Final = "give 1 to 64 letters, digits, dots, dashes or underscores; the first is a letter or digit"
"""`NAME_PATTERN` in words, for messages."""

_NAME: Final = re.compile(NAME_PATTERN, re.ASCII)


class OrganizationNameError(OfferlogError, ValueError):
    """A text is not a valid name of an organization.

    Attributes:
        name: The text.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} cannot name an organization: {NAME_RULE}")
        self.name = name


def check_organization(name: str) -> None:
    """Check that a text is a valid name of an organization.

    Raises:
        OrganizationNameError: The text is not a valid name.
    """
    if _NAME.fullmatch(name) is None:
        raise OrganizationNameError(name)


class OrganizationScope:
    """The base of services that work for one organization unless a call names another one.

    Attributes:
        organization: The organization of calls that do not name one.
    """

    organization: str

    def _of(self, organization: str | None) -> str:
        """Return the organization of a call. An empty name is a wrong name, not an absent one."""
        return self.organization if organization is None else organization


@dataclass(frozen=True, slots=True)
class OrganizationContent:
    """The numbers of visitors, refusals and keys that a store holds of one organization.

    Attributes:
        name: The organization.
        visitors: Number of visitors of whom an event was recorded.
        refusals: Number of refused signals that are kept.
        keys: Number of API keys that are valid.
    """

    name: str
    visitors: int
    refusals: int
    keys: int


class Organizations(Protocol):
    """The port to the organizations of one store, by name; thread-safe.

    An organization is known once a signal was recorded for it, a key was made for it, or a service was
    started for it. Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def names(self) -> Sequence[str]:
        """List all organizations, sorted."""

    def contents(self) -> Sequence[OrganizationContent]:
        """Count what the store holds of each organization, sorted by name. The cost grows with the store."""

    def names_with_signals(self) -> Sequence[str]:
        """List the organizations with recorded signals, sorted. The projections may show the newest later."""

    def register(self, organization: str) -> None:
        """Make an organization known before a signal is recorded for it. A second call changes nothing."""
