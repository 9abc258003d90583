"""The deletion of an organization: its visitors are erased, its keys revoked, its secret destroyed."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from offerlog_application.erasure.erasing import ErasedVisitors
from offerlog_application.erasure.last_deliveries import await_deliveries
from offerlog_application.erasure.receipts import read_last_receipts
from offerlog_application.ports.action_map_policies import PolicyStore
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.erasure import OrganizationInUseError, OrganizationVisitors
from offerlog_application.ports.keys import KeyStore
from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.service_log import ServiceLog
from offerlog_application.ports.subscriptions import SubscriptionStore
from offerlog_application.ports.webhooks import WebhookStore
from offerlog_domain.action_map_policies import NO_POLICY
from offerlog_domain.errors import OfferlogError
from offerlog_domain.service_events import (
    ActionMapPolicySet,
    OrganizationDeleted,
    deletion_text,
    sign_deletion,
)
from offerlog_domain.stream_ids import make_organization_stream_id

_PAGE: Final = 200
"""Visitors who share a fence and a wait for the projections."""

_ROUNDS: Final = 5
"""Number of times that visitors are looked for who were recorded meanwhile."""

_DELETION: Final = "the deletion of the organization"
"""By this name, a deletion ends policies."""

_BEFORE_ALL: Final = UUID(int=0)


class DeletionProgress(NamedTuple):
    """The progress of a deletion.

    Attributes:
        done: Number of visitors who were erased.
        total: Number of visitors when it began.
    """

    done: int
    total: int


class DeletedOrganization(NamedTuple):
    """The result of a deletion. Each erasure has its receipt in the log, and a complete deletion, too.

    Attributes:
        organization: The organization.
        visitors: Number of visitors who were erased by this call.
        events: Number of their events that stay in the log, unreadable.
        refusals: Number of refusals that were deleted; their counts stay.
        keys: Number of API keys that were revoked.
        held: Number of visitors whom a legal hold protects: they are left as they are.
        first_receipt: The position of the first receipt; None without one. Over several servers each has the
            receipts of its visitors, and this is the lowest position.
        last_receipt: The position of the last receipt; None without one. Over several servers, the highest.
        receipt: The position of the receipt of the organization. None if it has none because visitors are
            held, or because nothing of the organization was left before. A call that was killed right before
            the receipt leaves it to the next call.
        webhooks: Number of webhooks that were deleted, with their secrets and all that waited for them.
        webhooks_behind: Number of those that had not got all erasures: tell their receivers.
        subscriptions: Number of subscriptions to the feed that were deleted.
    """

    organization: str
    visitors: int
    events: int
    refusals: int
    keys: int
    held: int
    first_receipt: int | None
    last_receipt: int | None
    receipt: int | None = None
    webhooks: int = 0
    webhooks_behind: int = 0
    subscriptions: int = 0


class ErasesMany(Protocol):
    """Erases visitors, as `Eraser` does; thread-safe."""

    def erase_all(self, organization: str, digests: Sequence[UUID], seconds: float) -> ErasedVisitors:
        """Erase several visitors; see `Eraser.erase_all`."""

    def sign(self, text: str, at: datetime) -> str:
        """Return the signature lines of the text of a receipt; see `Eraser.sign`."""


class OrganizationDeletion:
    """Deletes organizations; thread-safe.

    Args:
        visitors: The visitors of an organization in the store.
        eraser: Erases them.
        keys: The API keys.
        log: Takes the receipt.
        clock: The service's clock.
        webhooks: Endpoints and deliveries of webhooks.
        subscriptions: The subscriptions to the feed.
        policies: The policies of action maps.
        find_end: Returns the position of the last event of the log.

    Attributes:
        eraser: Erases the visitors of the store.
    """

    def __init__(
        self,
        visitors: OrganizationVisitors,
        eraser: ErasesMany,
        keys: KeyStore,
        log: ServiceLog,
        clock: Clock,
        *,
        webhooks: WebhookStore,
        subscriptions: SubscriptionStore,
        policies: PolicyStore,
        find_end: Callable[[], LogPosition],
    ) -> None:
        self._visitors = visitors
        self.eraser = eraser
        self._keys = keys
        self._webhooks = webhooks
        self._subscriptions = subscriptions
        self._policies = policies
        self._find_end = find_end
        self._log = log
        self._clock = clock

    def delete(
        self,
        organization: str,
        on_progress: Callable[[DeletionProgress], None] = lambda _: None,
        *,
        timeout: float = 60.0,
        last_key: str | None = None,
        check_whole: Callable[[], None] | None = None,
    ) -> DeletedOrganization:
        """Revoke the keys of an organization, erase all of its visitors, and destroy its secret.

        Its refusals go, too. Its counts stay, and so does its name in the log. Who records for it afterwards
        begins anew, under another secret. The same call again continues an interrupted deletion. As long as a
        legal hold protects a visitor, the secret stays: nobody would find the visitor without it.

        Its webhooks, its subscriptions to the feed and the policies of its action maps go last. Receivers
        that are reached get the erasures before, as long as they make progress. While a visitor is held,
        they stay, because that erasure is yet to come.

        Args:
            organization: The organization.
            on_progress: Called with the progress after each page of visitors, and while webhooks are waited
                for.
            timeout: Seconds to wait for writers, and for projections that make no progress.
            last_key: Id of the key that is revoked last, so that its holder can continue.
            check_whole: Called right before the secret is destroyed. Raises if some visitors may have been
                overlooked.

        Raises:
            ErasureUnfinishedError: Keys of visitors are destroyed, and a later step did not end in time. If
                that concerns some visitors alone, the others are erased.
            OrganizationInUseError: Somebody goes on recording for it; visitors are erased, the secret stays.
            StoreUnavailableError: The store cannot be reached.
        """
        valid = [key for key in self._keys.all(organization) if key.revoked_at is None]
        for key in valid:
            if key.id != last_key:
                self._keys.revoke(organization, key.id)
        done = _Done(self._visitors.count(organization))
        for left in reversed(range(_ROUNDS)):
            since = self._clock.now()
            held = self._erase_visitors(organization, done, on_progress, timeout)
            # Those of erased visitors too: an erasure leaves a refusal without its text and its visitor.
            done.refusals += self._visitors.delete_refusals(organization)
            receipt = None
            if not held:
                try:
                    is_destroyed = self._visitors.destroy_secret(organization, since, check_whole)
                    if is_destroyed or self._lacks_receipt(organization):
                        receipt = self._append_receipt(organization, done, len(valid))
                except OrganizationInUseError:
                    if left:
                        continue
                    raise
            break
        behind = webhooks = subscriptions = 0
        if not held:
            behind = await_deliveries(
                self._webhooks, organization, self._find_end(), lambda: on_progress(done.progress())
            )
            self._end_policies(organization)
            webhooks = self._webhooks.delete_all(organization)
            subscriptions = self._subscriptions.delete_all(organization)
        if last_key is not None:
            self._keys.revoke(organization, last_key)
        return DeletedOrganization(
            organization,
            done.visitors,
            done.events,
            done.refusals,
            len(valid),
            held,
            min(done.receipts, default=None),
            max(done.receipts, default=None),
            receipt,
            webhooks,
            behind,
            subscriptions,
        )

    def _erase_visitors(
        self,
        organization: str,
        done: "_Done",
        on_progress: Callable[[DeletionProgress], None],
        timeout: float,
    ) -> int:
        """Erase all visitors, page by page; returns the number of those whom a legal hold protects."""
        held = 0
        errors: list[OfferlogError] = []
        lock = threading.Lock()

        def note(erased: ErasedVisitors) -> None:
            nonlocal held
            with lock:
                for one in erased.erasures:
                    done.visitors += one.position is not None
                    done.events += one.events
                    done.receipts.append(one.receipt_position)
                held += len(erased.held)
                errors.extend(erased.errors)
                on_progress(done.progress())

        self._erase_pages(organization, timeout, note)
        if errors:
            raise errors[0]
        return held

    def _erase_pages(self, organization: str, timeout: float, note: Callable[[ErasedVisitors], None]) -> None:
        """Erase all visitors, and note each page; several threads may note one."""
        erase_pages(self._visitors, self.eraser, organization, timeout, note)

    def _end_policies(self, organization: str) -> None:
        """End the policies of the action maps. Each end is an event, so that the log says what held when."""
        for action_map_id, policy in self._policies.all_policies(organization).items():
            if policy != NO_POLICY:
                ended = ActionMapPolicySet(
                    organization=organization,
                    action_map_id=action_map_id,
                    recorded_at=self._clock.now(),
                    set_by=_DELETION,
                )
                self._policies.put_policy(ended)
        self._policies.delete_policies(organization)

    def _lacks_receipt(self, organization: str) -> bool:
        """Return True if an earlier call has destroyed the secret, and was killed before the receipt.

        Visitors were erased then, and no deletion has a receipt behind theirs.
        """
        return read_last_receipts(self._log, organization).is_erasure_last

    def _append_receipt(self, organization: str, done: "_Done", keys: int) -> int:
        """Append the receipt to the organization's own stream; returns its position."""
        deleted = OrganizationDeleted(
            organization=organization,
            recorded_at=self._clock.now(),
            visitors=done.visitors,
            refusals=done.refusals,
            keys=keys,
        )
        signed = sign_deletion(deleted, self.eraser.sign(deletion_text(deleted), deleted.recorded_at))
        return self._log.append_entry(make_organization_stream_id(organization), signed).position


def erase_pages(
    visitors: OrganizationVisitors,
    eraser: ErasesMany,
    organization: str,
    timeout: float,
    note: Callable[[ErasedVisitors], None],
    *,
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Erase all visitors of an organization in a store, page by page.

    Args:
        visitors: The visitors of the store.
        eraser: Erases them.
        organization: The organization.
        timeout: Seconds to wait for writers, and for projections that make no progress.
        note: Called with each page.
        goes_on: Says if to look for more, asked before each page.

    Raises:
        OfferlogError: See `OrganizationDeletion.delete`.
    """
    after = _BEFORE_ALL
    while goes_on() and (page := visitors.digests(organization, after, _PAGE)):
        after = page[-1]
        note(eraser.erase_all(organization, page, timeout))


class _Done:
    """Progress and receipts of one deletion.

    Args:
        total: Number of visitors when it began.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.visitors = self.events = self.refusals = 0
        self.receipts: list[int] = []

    def progress(self) -> DeletionProgress:
        """Return the progress."""
        return DeletionProgress(self.visitors, max(self.total, self.visitors))
