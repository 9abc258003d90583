"""The policies of action maps that a process remembers, for as long as the epoch of the log stays."""

from collections.abc import Callable, Collection, Mapping
from typing import Final
from uuid import UUID

from offerlog_domain.action_map_policies import ActionMapPolicy

_REMEMBERED_ORGANIZATIONS: Final = 1_000
"""Number of organizations whose policies are remembered."""

Policies = Mapping[str, Mapping[UUID, ActionMapPolicy]]
"""Policies by organization and action map."""


class KnownPolicies:
    """Policies that were read under the epoch that was noted last, or a later one; thread-safe.

    Whoever sets a policy raises the epoch. So policies stay the same as long as the epoch does.

    Args:
        select: Reads the policies of organizations; each of them has an entry.
    """

    def __init__(self, select: Callable[[Collection[str]], Policies]) -> None:
        self._select = select
        self._epoch: int | None = None
        self._known: dict[str, Mapping[UUID, ActionMapPolicy]] = {}
        """Replaced as a whole, so what was read before an epoch was noted never stands among later reads."""

    def note_epoch(self, epoch: int | None) -> None:
        """Note the epoch of a read, and forget everything that was read under another one.

        Args:
            epoch: The epoch; None if it is another one than before.
        """
        if epoch is None or epoch != self._epoch:
            self._known = {}  # before the epoch, so that no other thread takes the former ones for current
            self._epoch = epoch

    def of(self, organizations: Collection[str]) -> Policies:
        """Return the policies of organizations, as they were at the noted read or later.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        if len(self._known) + len(organizations) > _REMEMBERED_ORGANIZATIONS:
            self._known = {}
        known = self._known  # before the read
        unknown = [one for one in organizations if one not in known]
        if unknown:
            known.update(self._select(unknown))
        return known
