"""The deletion of an organization over several shards: its visitors are erased wherever they are.

The home has the secret of an organization, and the shards have copies. The home's goes last, and no copy is
made in between: see `AllOrganizationVisitors.destroy_secret`.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import datetime
from uuid import UUID

from offerlog_application.erasure.erasing import ErasedVisitors
from offerlog_application.erasure.organizations import (
    DeletedOrganization,
    DeletionProgress,
    OrganizationDeletion,
    erase_pages,
)
from offerlog_application.erasure.receipts import read_last_receipts
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.shards import HOME, NotOverShardsError
from offerlog_application.ports.store import Store
from offerlog_application.sharding.router import Router, Shard


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
        """Refuse: each shard is asked for its own."""
        del organization, after, limit
        raise NotOverShardsError("to list the visitors of an organization")

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
            router.home.service.organization_deletion.eraser,
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

    def _erase_pages(self, organization: str, timeout: float, note: Callable[[ErasedVisitors], None]) -> None:
        """Erase the visitors of all shards, each shard in a thread: none needs another.

        If one fails, the others end behind the page at which they are, and its error is raised.
        """
        is_over = threading.Event()

        def erase(shard: Shard) -> None:
            visitors, eraser = shard.store.organization_visitors, shard.service.organization_deletion.eraser
            erase_pages(visitors, eraser, organization, timeout, note, goes_on=lambda: not is_over.is_set())

        shards = self._router.all()
        with ThreadPoolExecutor(len(shards)) as threads:
            begun = [threads.submit(copy_context().run, self._router.ask, one, erase) for one in shards]
            try:
                wait(begun, return_when=FIRST_EXCEPTION)
            finally:
                is_over.set()
        for one in begun:
            one.result()

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
