"""Organizations, which are the tenants: the rule for their names, and the port to those of a store."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from offerlog_domain.errors import OfferlogError

NAME_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""A regular expression for the whole name of an organization, or of a subscription."""

NAME_RULE: Final = "give 1 to 64 letters, digits, dots, dashes or underscores; the first is a letter or digit"
"""The same, for people."""

_NAME: Final = re.compile(NAME_PATTERN, re.ASCII)


class OrganizationNameError(OfferlogError, ValueError):
    """A text that cannot name an organization.

    Attributes:
        name: The text.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} cannot name an organization: {NAME_RULE}")
        self.name = name


def check_organization(name: str) -> None:
    """Check that a text can name an organization.

    Raises:
        OrganizationNameError: It cannot.
    """
    if _NAME.fullmatch(name) is None:
        raise OrganizationNameError(name)


class OrganizationScope:
    """The base of objects that work for one organization unless a call names another.

    Attributes:
        organization: The organization of calls that name none.
    """

    organization: str

    def _of(self, organization: str | None) -> str:
        """Return the organization of a call. An empty name is a wrong name, not an absent one."""
        return self.organization if organization is None else organization


@dataclass(frozen=True, slots=True)
class OrganizationContent:
    """The amount of what a store holds of an organization.

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
    """Organizations of one store, by name; thread-safe.

    An organization is known once a signal was recorded for it, a key was made for it, or a service was
    started for it. Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def names(self) -> Sequence[str]:
        """List all organizations, sorted."""

    def contents(self) -> Sequence[OrganizationContent]:
        """Count what is held of each organization, sorted by name. The cost grows with the store."""

    def names_with_signals(self) -> Sequence[str]:
        """List the organizations with signals, as far as the projections show them; sorted."""

    def register(self, organization: str) -> None:
        """Make an organization known before a signal is recorded for it. A second call changes nothing."""
