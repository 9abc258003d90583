"""The policies of action maps for asyncio."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from offerlog_application.reading.call_threads import CallThreads, Kind
from offerlog_application.recording.action_map_policies import ActionMapPolicies, PolicyChange
from offerlog_domain.action_map_policies import ActionMapPolicy
from offerlog_domain.identity import ActionMapId


class AsyncPolicies:
    """The awaitable view of `Offerlog.policies`, with the same arguments, answers and errors.

    Args:
        policies: The policies.
        threads: The threads in which the calls run.
    """

    def __init__(self, policies: ActionMapPolicies, threads: CallThreads) -> None:
        self._policies = policies
        self._threads = threads

    async def set(
        self,
        action_map_id: str,
        suppress_for: Mapping[str, timedelta],
        *,
        set_by: str = "",
        organization: str | None = None,
    ) -> int | None:
        """Set the policy of an action map, in place of the one before; returns the position of its event."""
        put = partial(
            self._policies.set, action_map_id, suppress_for, set_by=set_by, organization=organization
        )
        return await self._threads.run(Kind.WRITE, put)

    async def find(self, action_map_id: str, *, organization: str | None = None) -> ActionMapPolicy:
        """Return the policy of an action map that is in force."""
        find = partial(self._policies.find, action_map_id, organization=organization)
        return await self._threads.run(Kind.READ, find)

    async def all(self, *, organization: str | None = None) -> Mapping[ActionMapId, ActionMapPolicy]:
        """Return the policies of all action maps for which one was set, sorted by map."""
        return await self._threads.run(Kind.READ, partial(self._policies.all, organization=organization))

    async def changes(self, action_map_id: str, *, organization: str | None = None) -> Sequence[PolicyChange]:
        """Return all policies of an action map that were set, oldest first, from the log."""
        read = partial(self._policies.changes, action_map_id, organization=organization)
        return await self._threads.run(Kind.READ, read)
