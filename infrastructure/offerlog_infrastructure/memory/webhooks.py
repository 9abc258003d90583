"""Webhooks of a log in memory."""

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.positions import LogPosition, is_up_to, only_position
from offerlog_application.ports.webhooks import (
    MOST_ENDPOINTS,
    MOST_SECRETS,
    DeliveryTurn,
    DisableReason,
    EnabledWebhook,
    WebhookAttempts,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookLag,
    WebhookLimitError,
)
from offerlog_infrastructure.memory.log import MemoryLog

_Secret = tuple[bytes, datetime | None]
"""A secret, and the end of its time."""


class MemoryWebhooks:
    """The application's `WebhookStore`; thread-safe.

    A method has the errors of the method of `WebhookStore`, and those that it names.
    """

    def __init__(self, log: MemoryLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.RLock()
        self._found: dict[str, WebhookEndpoint] = {}
        self._secrets: dict[str, list[_Secret]] = {}
        self._deliveries: dict[tuple[str, int], WebhookDelivery] = {}

    def insert(self, endpoint: WebhookEndpoint, secret: bytes) -> None:
        """Store a new endpoint."""
        with self._lock:
            own = [one for one in self._found.values() if one.organization == endpoint.organization]
            if len(own) >= MOST_ENDPOINTS:
                raise WebhookLimitError
            self._found[endpoint.id] = endpoint
            self._secrets[endpoint.id] = [(secret, None)]

    def all(self, organization: str | None = None) -> Sequence[WebhookLag]:
        """List the endpoints of one organization, or of all, in the order of their making."""
        with self._lock:
            ordered = sorted(self._found.values(), key=lambda one: (one.organization, one.created_at, one.id))
            return [self._measure(one) for one in ordered if organization in {None, one.organization}]

    def measure_lags(self, positions: Sequence[int]) -> Sequence[tuple[int, float | None]]:
        """Return how far the log is ahead of some positions."""
        return [self._measure_from(position) for position in positions]

    def is_any_enabled(self) -> bool:
        """Return True if an endpoint is enabled."""
        with self._lock:
            return any(one.disabled_at is None for one in self._found.values())

    def enabled(self, now: datetime) -> Sequence[EnabledWebhook]:
        """List all endpoints that are enabled, and tell which of them have something due."""
        with self._lock:
            enabled = [self._count(one) for one in self._found.values() if one.disabled_at is None]
            return [EnabledWebhook(one, bool(self.next_due(one.id, now, 1))) for one in enabled]

    def find(self, endpoint: str) -> WebhookEndpoint | None:
        """Return an endpoint; None if there is none of that id."""
        with self._lock:
            one = self._found.get(endpoint)
            return None if one is None else self._count(one)

    def delete(self, endpoint: str) -> None:
        """Delete an endpoint, with all that waits for it."""
        with self._lock:
            self._found.pop(endpoint, None)
            self._secrets.pop(endpoint, None)
            self._forget(endpoint, lambda _: True)

    def delete_all(self, organization: str) -> int:
        """Delete the endpoints of an organization, with all that waits for them; returns their number."""
        with self._lock:
            own = [one.id for one in self._found.values() if one.organization == organization]
            for endpoint in own:
                self.delete(endpoint)
            return len(own)

    def secrets(self, endpoint: str, now: datetime) -> Sequence[bytes]:
        """Return the secrets that sign for an endpoint, the newest first."""
        with self._lock:
            return [one for one, until in self._secrets.get(endpoint, ()) if until is None or until > now]

    def rotate(self, endpoint: str, secret: bytes, now: datetime, keep: timedelta) -> None:
        """Give an endpoint another secret; the former ones are valid for a while longer at most."""
        with self._lock:
            former = [(one, min(until or now + keep, now + keep)) for one, until in self._secrets[endpoint]]
            signing = [(secret, None), *(one for one in former if one[1] > now)]
            self._secrets[endpoint] = signing[:MOST_SECRETS]

    def disable(self, endpoint: str, because: DisableReason, now: datetime) -> None:
        """Disable an endpoint, unless it is disabled."""
        with self._lock:
            if endpoint in self._found and self._found[endpoint].disabled_at is None:
                self._change(endpoint, disabled_at=now, disabled_because=because)

    def enable(self, endpoint: str) -> None:
        """Enable an endpoint. It does not rest, and its count of failures begins anew."""
        self._change(
            endpoint,
            disabled_at=None,
            disabled_because=None,
            resting_until=None,
            failures=0,
            failing_since=None,
        )

    def skip(self, endpoint: str, position: LogPosition) -> None:
        """Set an endpoint to a position of the log, and forget what waits for it; dead letters stay."""
        with self._lock:
            self._change(endpoint, position=position)
            self._forget(endpoint, lambda one: one.dead_at is None)

    def next_due(self, endpoint: str, now: datetime, limit: int) -> Sequence[WebhookDelivery]:
        """Return deliveries that are due: each the first of its visitor, and of these those due longest."""
        with self._lock:
            firsts: dict[str, WebhookDelivery] = {}
            for one in self._pending(endpoint):
                firsts.setdefault(one.visitor, one)
            due = [one for one in firsts.values() if one.next_attempt_at <= now]
            return sorted(due, key=lambda one: (one.next_attempt_at, one.position))[:limit]

    def held_visitors(self, endpoint: str, visitors: Collection[str]) -> Collection[str]:
        """Return those of some visitors of whom a delivery waits."""
        with self._lock:
            return {one.visitor for one in self._pending(endpoint)} & {*visitors}

    def note_read(self, endpoint: str, position: LogPosition) -> None:
        """Note how far the log was read for an endpoint; a lower position changes nothing."""
        with self._lock:
            if endpoint in self._found:
                before = only_position(self._found[endpoint].position)
                self._change(endpoint, position=max(before, only_position(position)))

    def note_all_read(self, endpoints: Collection[str], start: LogPosition, end: LogPosition) -> None:
        """Note that the log has nothing for some endpoints after `start` up to `end`."""
        with self._lock:
            for endpoint in endpoints:
                if endpoint in self._found and is_up_to(start, self._found[endpoint].position):
                    self.note_read(endpoint, end)

    def note_attempts(self, attempts: WebhookAttempts) -> None:
        """Note the results of some attempts: all of them, or none."""
        with self._lock:
            for position in attempts.delivered:
                self._deliveries.pop((attempts.endpoint, position), None)
            if attempts.endpoint not in self._found:
                return
            dealt_with = only_position(self._found[attempts.endpoint].position)
            for one in (*attempts.failed, *attempts.held):
                is_there = (one.endpoint, one.position) in self._deliveries
                if is_there if attempts.are_resent else one.position > dealt_with:
                    self._deliveries[one.endpoint, one.position] = one
            stored = [one.position for one in (*attempts.failed, *attempts.held)]
            for position in (*attempts.delivered, *stored):
                self.note_read(attempts.endpoint, position)
            if attempts.delivered:
                delivered = self._found[attempts.endpoint].delivered + len(attempts.delivered)
                self._change(
                    attempts.endpoint,
                    delivered=delivered,
                    resting_until=None,
                    failures=0,
                    failing_since=None,
                )
            if attempts.failed:
                before = self._found[attempts.endpoint]
                self._change(
                    attempts.endpoint,
                    failed=before.failed + len(attempts.failed),
                    failures=before.failures + 1,
                    given_up=before.given_up + sum(one.dead_at is not None for one in attempts.failed),
                    failing_since=before.failing_since or attempts.ended_at,
                    resting_until=attempts.resting_until,
                )

    def postpone(self, endpoint: str, position: int, until: datetime) -> None:
        """Let a delivery wait, without an attempt: its event cannot be read now."""
        with self._lock:
            if (one := self._deliveries.get((endpoint, position))) is not None:
                self._deliveries[endpoint, position] = replace(one, next_attempt_at=until)

    def deliveries(self, endpoint: str, *, are_dead: bool, limit: int) -> Sequence[WebhookDelivery]:
        """List dead letters of an endpoint, or deliveries that wait, by position."""
        with self._lock:
            own = self._of(endpoint)
            return [one for one in own if (one.dead_at is not None) == are_dead][:limit]

    def send_again(self, endpoint: str, position: int | None, now: datetime) -> int:
        """Make a dead letter, or all of an endpoint, wait for an attempt again; returns their number."""
        with self._lock:
            own = [one for one in self._of(endpoint) if one.dead_at and position in {None, one.position}]
            for one in own:
                again = replace(one, dead_at=None, attempts=0, next_attempt_at=now)
                self._deliveries[endpoint, one.position] = again
            return len(own)

    def prune(self, before: datetime) -> int:
        """Delete the dead letters that were given up before a time; returns their number."""
        with self._lock:
            old = [key for key, one in self._deliveries.items() if one.dead_at and one.dead_at < before]
            for key in old:
                del self._deliveries[key]
            return len(old)

    def claim_turn(self) -> DeliveryTurn | None:
        """Claim the right to deliver: nobody else can have it."""
        return _OnlyTurn()

    def _of(self, endpoint: str) -> list[WebhookDelivery]:
        return [one for _, one in sorted(self._deliveries.items()) if one.endpoint == endpoint]

    def _pending(self, endpoint: str) -> list[WebhookDelivery]:
        return [one for one in self._of(endpoint) if one.dead_at is None]

    def _forget(self, endpoint: str, is_meant: Callable[[WebhookDelivery], bool]) -> None:
        for one in self._of(endpoint):
            if is_meant(one):
                del self._deliveries[endpoint, one.position]

    def _change(self, endpoint: str, **changed: Any) -> None:
        with self._lock:
            self._found[endpoint] = replace(self._found[endpoint], **changed)

    def _count(self, one: WebhookEndpoint) -> WebhookEndpoint:
        pending = len(self._pending(one.id))
        return replace(one, pending=pending, dead_letters=len(self._of(one.id)) - pending)

    def _measure(self, one: WebhookEndpoint) -> WebhookLag:
        return WebhookLag(self._count(one), *self._measure_from(only_position(one.position)))

    def _measure_from(self, position: int) -> tuple[int, float]:
        with self._log.lock:
            missing = self._log.events_in_order[position:]
            oldest = missing[0].recorded.event.recorded_at if missing else None
        seconds = 0.0 if oldest is None else max((self._clock.now() - oldest).total_seconds(), 0.0)
        return len(missing), seconds


class _OnlyTurn:
    """The turn where there is one process."""

    def is_valid(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Do nothing: no other process waits."""
