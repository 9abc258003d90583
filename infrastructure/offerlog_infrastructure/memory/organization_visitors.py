"""The visitors and refusals of one organization in memory, for its deletion."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from offerlog_application.ports.erasure import OrganizationInUseError
from offerlog_infrastructure.memory.log import MemoryLog


class MemoryOrganizationVisitors:
    """The application's `OrganizationVisitors`; thread-safe.

    A method has the errors of the method of `OrganizationVisitors`, and those that it names.
    """

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def count(self, organization: str) -> int:
        """Count the visitors of whom an event was recorded."""
        with self._log.lock:
            return len(self._recorded(organization))

    def digests(self, organization: str, after: UUID, limit: int) -> Sequence[UUID]:
        """Return digests of visitors behind a digest, sorted; also of those only ever refused or blocked."""
        with self._log.lock:
            refused = {
                one.visitor_digest
                for one in self._log.refusals.values()
                if one.organization == organization and one.visitor_digest is not None
            }
            found = self._recorded(organization) | refused | self._blocked(organization)
        return sorted(one for one in found if one > after)[:limit]

    def delete_refusals(self, organization: str) -> int:
        """Delete the refusals of the organization that name no visitor; returns how many."""
        with self._log.lock:
            nameless = [
                number
                for number, one in self._log.refusals.items()
                if one.organization == organization and one.visitor_digest is None
            ]
            for number in nameless:
                del self._log.refusals[number]
            return len(nameless)

    def destroy_secret(
        self, organization: str, since: datetime, prepare: Callable[[], None] | None = None
    ) -> bool:
        """Destroy the key of an organization of which nothing is left; returns False if it has none."""
        del since, prepare  # no other store has a copy
        with self._log.lock:
            refused = any(one.organization == organization for one in self._log.refusals.values())
            if self._recorded(organization) or self._blocked(organization) or refused:
                raise OrganizationInUseError(organization)
            return self._log.destroy_key(organization)

    def digests_of(self, tokens: Sequence[int]) -> Mapping[str, Sequence[UUID]]:
        """Return the digests of the visitors with these tokens, by organization."""
        found: dict[str, list[UUID]] = {}
        with self._log.lock:
            for one in self._log.visitors.all():
                if one.token in tokens:
                    found.setdefault(one.organization, []).append(one.digest)
        return found

    def _blocked(self, organization: str) -> set[UUID]:
        return {key.visitor_digest for key in self._log.counted_blocks_at if key.organization == organization}

    def _recorded(self, organization: str) -> set[UUID]:
        return {one.digest for one in self._log.visitors.all() if one.organization == organization}
