"""The webhooks of a service: their endpoints, secrets and dead letters."""

import base64
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import uuid4

from offerlog_application.feed.filters import FeedFilter
from offerlog_application.feed.reading_feed import EventFeed
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.organizations import OrganizationScope
from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.shards import EndUnknownError, ShardUnavailableError
from offerlog_application.ports.webhooks import (
    DisableReason,
    UnknownWebhookError,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookLag,
    WebhookResult,
    WebhookSender,
    WebhookStore,
)
from offerlog_application.schedule.periodic_thread import PeriodicThread
from offerlog_application.webhooks.courier import Courier
from offerlog_application.webhooks.messages import encode_message, make_test_message
from offerlog_domain.errors import ArgumentError
from offerlog_domain.uuids import format_uuid

KEEP_FORMER_SECRET: Final = timedelta(hours=24)
"""A former secret signs for so long after a rotation, unless its caller says otherwise."""

KEEP_DEAD_LETTERS: Final = timedelta(days=30)
"""Dead letters are kept for so long after the last attempt, unless the operator says otherwise."""

_PRUNE_SECONDS: Final = 60.0
"""Seconds between two looks for dead letters that are too old."""

_PAUSE_SECONDS: Final = 0.2
"""Seconds between two steps of their deletion."""

_LONGEST_KEEP: Final = timedelta(days=30)
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 8
_MOST_LISTED: Final = 1_000
_MOST_WATCHED: Final = 100
_LAST_POSITION: Final = 2**63 - 1


class NewWebhook(NamedTuple):
    """An endpoint with a secret that nobody can read again.

    Attributes:
        endpoint: The endpoint.
        secret: The secret for its receiver, `whsec_...`.
    """

    endpoint: WebhookEndpoint
    secret: str


class WatchedWebhook(NamedTuple):
    """An endpoint with what could not be delivered.

    Attributes:
        lag: The endpoint, and how far the log is ahead of it.
        waiting: The first hundred deliveries that wait for another attempt, by position.
        dead_letters: The first hundred events that were given up, by position.
    """

    lag: WebhookLag
    waiting: Sequence[WebhookDelivery]
    dead_letters: Sequence[WebhookDelivery]


class Webhooks(OrganizationScope):
    """The webhooks of a service; thread-safe.

    Attributes:
        organization: The organization of calls that name none.
    """

    def __init__(
        self,
        store: WebhookStore,
        feed: EventFeed,
        clock: Clock,
        organization: str,
        make_sender: Callable[[], WebhookSender],
        *,
        retention: timedelta = KEEP_DEAD_LETTERS,
    ) -> None:
        self.organization = organization
        self._store = store
        self._feed = feed
        self._clock = clock
        self._make_sender = make_sender
        self._retention = retention
        self._courier: Courier | None = None
        self._pruner: PeriodicThread | None = None

    def create(
        self,
        url: str,
        *,
        types: Collection[str] = (),
        action_maps: Collection[str] = (),
        after: LogPosition | None = None,
        organization: str | None = None,
    ) -> NewWebhook:
        """Make an endpoint, with a secret that is returned once.

        Args:
            url: The address, with `https`; `http` only in the networks that the operator allows.
            types: Types or names of kinds, such as `offered`; empty for all. The erasure of a visitor comes
                in any case.
            action_maps: Ids of action maps; empty for all.
            after: Begin after this position of the log; None for the present end.
            organization: The tenant; None for the organization of the service.

        Raises:
            ArgumentError: An address to which nothing may be sent, an unknown type, or a wrong position.
            MalformedSignalError: A text is not the id of an action map.
            WebhookLimitError: The organization has too many.
            EndUnknownError: It is to begin at the present end, and a server cannot be reached.
        """
        wanted, scope = FeedFilter.parse(types, action_maps), self._of(organization)
        sender = self._make_sender()
        try:
            address = sender.check_url(url)
        finally:
            sender.close()
        if after is not None:
            self._check_position(after, scope)
        secret = secrets.token_bytes(_SECRET_BYTES)
        endpoint = WebhookEndpoint(
            f"wh_{secrets.token_hex(_ID_BYTES)}",
            scope,
            address,
            tuple(sorted(wanted.names)),
            tuple(sorted(format_uuid(one) for one in wanted.action_maps)),
            self._clock.now(),
            self._find_end("begin after a position that is known") if after is None else after,
        )
        self._store.insert(endpoint, secret)
        return NewWebhook(endpoint, spell_secret(secret))

    def _check_position(self, after: LogPosition, organization: str) -> None:
        """Check that no event of a server that can be reached is to have had a position later on.

        Raises:
            ArgumentError: It is a wrong position.
        """
        with suppress(ShardUnavailableError):
            self._feed.page(after, limit=1, organization=organization, settling_seconds=0.0)

    def _find_end(self, instead: str) -> LogPosition:
        """Return the present end of the log.

        Args:
            instead: What can be done while a server cannot be reached.

        Raises:
            EndUnknownError: One cannot.
        """
        try:
            return self._feed.end()
        except ShardUnavailableError as error:
            raise EndUnknownError(error, instead) from error

    def all(self, *, organization: str | None = None) -> Sequence[WebhookLag]:
        """List the endpoints of an organization with their lag, in the order of their making."""
        return self._store.all(self._of(organization))

    def of_all_organizations(self) -> Sequence[WebhookLag]:
        """List the endpoints of all organizations with their lag."""
        return self._store.all()

    def find(self, endpoint: str, *, organization: str | None = None) -> WebhookEndpoint:
        """Return an endpoint.

        Raises:
            UnknownWebhookError: The organization has none of that id.
        """
        found = self._store.find(endpoint)
        if found is None or found.organization != self._of(organization):
            raise UnknownWebhookError(endpoint)
        return found

    def watch(self, endpoint: str, *, organization: str | None = None) -> WatchedWebhook:
        """Return an endpoint with its lag, and the events that could not be delivered.

        Raises:
            UnknownWebhookError: The organization has none of that id.
        """
        found = [one for one in self.all(organization=organization) if one.endpoint.id == endpoint]
        if not found:
            raise UnknownWebhookError(endpoint)
        waiting, dead = (
            self._store.deliveries(endpoint, are_dead=dead, limit=_MOST_WATCHED) for dead in (False, True)
        )
        return WatchedWebhook(found[0], waiting, dead)

    def delete(self, endpoint: str, *, organization: str | None = None) -> None:
        """Delete an endpoint, with all that waits for it.

        Raises:
            UnknownWebhookError: The organization has none of that id.
        """
        self._store.delete(self.find(endpoint, organization=organization).id)

    def test(self, endpoint: str, *, organization: str | None = None) -> WebhookResult:
        """Send a test message to an endpoint now, also if it is disabled. Nothing of it is stored.

        Raises:
            UnknownWebhookError: The organization has none of that id.
        """
        found, now = self.find(endpoint, organization=organization), self._clock.now()
        message_id = f"msg_{uuid4().hex}"
        message = make_test_message(found.id, found.organization, message_id, now)
        sender = self._make_sender()
        try:
            return sender.send(
                found.url, message_id, encode_message(message), self._store.secrets(found.id, now)
            )
        finally:
            sender.close()

    def disable(self, endpoint: str, *, organization: str | None = None) -> WebhookEndpoint:
        """Send nothing more to an endpoint; its cursor stays, and so does what waits.

        Raises:
            UnknownWebhookError: The organization has none of that id.
        """
        found = self.find(endpoint, organization=organization)
        self._store.disable(found.id, DisableReason.OPERATOR, self._clock.now())
        return self.find(endpoint, organization=organization)

    def enable(
        self, endpoint: str, *, skip: bool = False, organization: str | None = None
    ) -> WebhookEndpoint:
        """Send to an endpoint again, from its cursor on.

        Args:
            endpoint: The id of the endpoint.
            skip: Leave out what was recorded up to now, and what waits; dead letters stay.
            organization: The tenant; None for the organization of the service.

        Raises:
            UnknownWebhookError: The organization has none of that id.
            EndUnknownError: The present end is wanted, and a server cannot be reached.
        """
        found = self.find(endpoint, organization=organization)
        if skip:
            self._store.skip(found.id, self._find_end("enable it without leaving anything out"))
        self._store.enable(found.id)
        return self.find(endpoint, organization=organization)

    def rotate(
        self, endpoint: str, *, keep: timedelta = KEEP_FORMER_SECRET, organization: str | None = None
    ) -> NewWebhook:
        """Give an endpoint another secret, which is returned once.

        Args:
            endpoint: The id of the endpoint.
            keep: The former secret signs for so long, too, so that the receiver can change over.
            organization: The tenant; None for the organization of the service.

        Raises:
            UnknownWebhookError: The organization has none of that id.
            ArgumentError: A negative time, or one of more than 30 days.
        """
        if not timedelta(0) <= keep <= _LONGEST_KEEP:
            seconds = f"{keep.total_seconds():,.0f} seconds"
            raise ArgumentError("keep", f"keep: give 0 seconds to {_LONGEST_KEEP.days} days, not {seconds}")
        found = self.find(endpoint, organization=organization)
        secret = secrets.token_bytes(_SECRET_BYTES)
        self._store.rotate(found.id, secret, self._clock.now(), keep)
        return NewWebhook(found, spell_secret(secret))

    def dead_letters(
        self, endpoint: str, *, limit: int = _MOST_LISTED, organization: str | None = None
    ) -> Sequence[WebhookDelivery]:
        """List the events that were given up for an endpoint, by position.

        Raises:
            UnknownWebhookError: The organization has none of that id.
        """
        found = self.find(endpoint, organization=organization)
        return self._store.deliveries(found.id, are_dead=True, limit=limit)

    def send_again(
        self, endpoint: str, position: int | None = None, *, organization: str | None = None
    ) -> int:
        """Try a dead letter again, or all of an endpoint; returns how many.

        They come out of order: behind events that were recorded later. `sequence` in the event says so.

        Raises:
            UnknownWebhookError: The organization has none of that id.
            ArgumentError: No dead letter of the endpoint has that position.
        """
        found = self.find(endpoint, organization=organization)
        is_possible = position is None or 0 < position <= _LAST_POSITION
        number = self._store.send_again(found.id, position, self._clock.now()) if is_possible else 0
        if position is not None and not number:
            raise ArgumentError("position", f"position: the webhook has no dead letter {position}")
        return number

    def prune(self, pause: Callable[[], bool] = lambda: False) -> int:
        """Delete the dead letters of all organizations that are older than they may be, in steps.

        Args:
            pause: Called between two steps; ends the work if it returns true.

        Returns:
            The number of dead letters deleted.

        Raises:
            StoreUnavailableError: The store cannot be reached. Completed steps are kept.
        """
        pruned = 0
        while self._retention and (step := self._store.prune(self._clock.now() - self._retention)):
            pruned += step
            if pause():
                break
        return pruned

    def keep_delivering(self) -> None:
        """Start to deliver in the background, once no other process does, and to delete dead letters."""
        if self._courier is None:
            self._courier = Courier(self._store, self._feed, self._make_sender, self._clock)
            self._courier.keep_looking()
            self._pruner = PeriodicThread(
                "offerlog-dead-letters",
                _PRUNE_SECONDS,
                lambda thread: self.prune(lambda: thread.pause(_PAUSE_SECONDS)),
                "dead letters of webhooks could not be deleted, which will be tried again: %s",
            )

    def close(self) -> None:
        """Stop delivering."""
        if self._pruner is not None:
            self._pruner.close()
        if self._courier is not None:
            self._courier.close()


def spell_secret(secret: bytes) -> str:
    """Return a secret as receivers expect it: `whsec_` and base64."""
    return f"whsec_{base64.b64encode(secret).decode()}"
