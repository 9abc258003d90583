"""The deletion of an organization over several shards: its visitors are erased wherever they are.

The home has the secret of an organization, and the shards have copies. The home's goes last, and no copy is
made in between: see `AllOrganizationVisitors.destroy_secret`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from offerlog_application.erasure.erasing import ErasedVisitors
from offerlog_application.erasure.organizations import (
    DeletedOrganization,
    DeletionProgress,
    OrganizationDeletion,
)
from offerlog_application.erasure.receipts import read_last_receipts
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.erasure import Erasure
from offerlog_application.ports.shards import HOME, NotOverShardsError
from offerlog_application.ports.store import Store
from offerlog_application.sharding.router import Router
from offerlog_domain.errors import OfferlogError


class AllOrganizationVisitors:
    """The application's `OrganizationVisitors` over several shards; thread-safe.

    Each method raises `ShardUnavailableError` if a shard cannot be reached.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    def count(self, organization: str) -> int:
        """Count the visitors on all shards."""
        return sum(self._router.ask_each(lambda shard: shard.store.organization_visitors.count(organization)))

    def digests(self, organization: str, after: UUID, limit: int) -> Sequence[UUID]:
        """Return the first digests behind a digest that some shard has."""
        found = self._router.ask_each(
            lambda shard: shard.store.organization_visitors.digests(organization, after, limit)
        )
        return sorted({digest for page in found for digest in page})[:limit]

    def delete_refusals(self, organization: str) -> int:
        """Delete the refusals of the organization that name no visitor, on all shards."""
        return sum(
            self._router.ask_each(
                lambda shard: shard.store.organization_visitors.delete_refusals(organization)
            )
        )

    def destroy_secret(
        self, organization: str, since: datetime, prepare: Callable[[], None] | None = None
    ) -> bool:
        """Destroy the secret on all shards, on the home last.

        The home keeps it meanwhile, so that no shard copies it again. If this ends in between, the home still
        has it, and shards may copy it: the deletion is then to be repeated as a whole.
        """

        def destroy_on_others() -> None:
            if prepare is not None:
                prepare()
            for shard in self._router.all():  # also those that were added meanwhile
                if shard.number != HOME:
                    self._router.ask(
                        shard, lambda one: one.store.organization_visitors.destroy_secret(organization, since)
                    )

        return self._router.ask(
            self._router.home,
            lambda home: home.store.organization_visitors.destroy_secret(
                organization, since, destroy_on_others
            ),
        )

    def digests_of(self, tokens: Sequence[int]) -> Mapping[str, Sequence[UUID]]:
        """Refuse: a restored store is the only one."""
        del tokens
        raise NotOverShardsError("to repeat erasures after a restore")


class EraserOfShards:
    """Erases visitors, each on the visitor's shard: event and receipt are in the log of that shard.

    Thread-safe.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    def erase_all(self, organization: str, digests: Sequence[UUID], seconds: float) -> ErasedVisitors:
        """Erase several visitors; those of one shard share the fence and the wait for its projections.

        Raises:
            ErasureUnfinishedError: As `Eraser.erase_all` raises it; those of other shards may be erased.
            ShardUnavailableError: A shard cannot be reached; likewise.
        """
        owners = self._router.read_owners()
        of_shards: dict[int, list[UUID]] = {}
        for digest in digests:
            of_shards.setdefault(owners.shard_of(digest), []).append(digest)
        erasures: list[Erasure] = []
        held: list[UUID] = []
        errors: list[OfferlogError] = []
        for number, own in sorted(of_shards.items()):
            done = self._erase_on(number, organization, own, seconds)
            erasures += done.erasures
            held += done.held
            errors += done.errors
        return ErasedVisitors(erasures, held, errors)

    def _erase_on(
        self, number: int, organization: str, digests: Sequence[UUID], seconds: float
    ) -> ErasedVisitors:
        return self._router.ask(
            self._router.get(number),
            lambda shard: shard.service.organization_deletion.eraser.erase_all(
                organization, digests, seconds
            ),
        )

    def sign(self, text: str, at: datetime) -> str:
        """Return the signature lines of a text by the key of the home."""
        return self._router.home.service.organization_deletion.eraser.sign(text, at)


class DeletionOverShards(OrganizationDeletion):
    """Deletes organizations from all shards; thread-safe. One deletion at a time.

    The receipt of the organization is in the log of the home.

    Args:
        router: Finds the shards.
        store: The ports over all shards.
        clock: The service's clock.
    """

    def __init__(self, router: Router, store: Store, clock: Clock) -> None:
        self._router = router
        super().__init__(
            store.organization_visitors,
            EraserOfShards(router),
            store.keys,
            store.service_log,
            clock,
            webhooks=store.webhooks,
            subscriptions=store.subscriptions,
            policies=store.policies,
            find_end=store.event_source.find_end,
        )

    def delete(
        self,
        organization: str,
        on_progress: Callable[[DeletionProgress], None] = lambda _: None,
        *,
        timeout: float = 60.0,
        last_key: str | None = None,
        check_whole: Callable[[], None] | None = None,
    ) -> DeletedOrganization:
        """Delete an organization on all shards; see `OrganizationDeletion.delete`.

        No slice moves meanwhile, and no projection is rebuilt. Before the secret goes, it is asked if that
        held: a server that was away for a moment has lost the lock, and a slice may have passed by unseen.

        Raises:
            ShardUnavailableError: A shard cannot be reached, or a slice moves, or projections are rebuilt.
                If that is so at the beginning, nothing was changed; otherwise, the same call goes on.
        """
        with self._router.keeping_slices() as check_kept:

            def check() -> None:
                check_kept()
                if check_whole is not None:
                    check_whole()

            return super().delete(
                organization, on_progress, timeout=timeout, last_key=last_key, check_whole=check
            )

    def _lacks_receipt(self, organization: str) -> bool:
        """Return True if an earlier call was killed before the receipt.

        Each shard has the receipts of its visitors.
        """
        home, *others = [
            self._router.ask(shard, lambda one: read_last_receipts(one.store.service_log, organization))
            for shard in self._router.all()
        ]
        deleted_at = home.deleted_at
        return home.is_erasure_last or any(
            one.erased_at is not None and (deleted_at is None or one.erased_at > deleted_at) for one in others
        )
