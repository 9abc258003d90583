"""The ports of webhooks: their store, and what sends them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from offerlog_application.ports.positions import LogPosition
from offerlog_domain.errors import OfferlogError

MOST_ENDPOINTS: Final = 20
"""The most endpoints of an organization: while events are sent to one, threads of the process do that."""

MOST_SECRETS: Final = 5
"""The most secrets that sign for an endpoint: each attempt decrypts all, and sends a signature of each."""


class DisableReason(StrEnum):
    """The reason why nothing is sent to an endpoint."""

    OPERATOR = "operator"
    """Somebody disabled it."""

    GONE = "gone"
    """The receiver answered 410."""

    FAILING = "failing"
    """Every attempt failed for days."""

    LOG_RESTORED = "log-restored"
    """The cursor of the webhook lies beyond the end of the log, which was restored from a backup."""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An address to which events are sent.

    Attributes:
        id: Its id.
        organization: The tenant.
        url: The address.
        types: Names of the kinds of events that it gets; empty for all.
        action_maps: Ids of the action maps whose events it gets; empty for all.
        created_at: The time at which it was made, by the service's clock.
        position: Each event up to this position has been delivered, or waits as a delivery, or was given up.
            Over several servers, it has a part for each.
        disabled_at: The time at which it was disabled; None while it is enabled.
        disabled_because: The reason; None while it is enabled.
        resting_until: Nothing is sent before this time; None if it does not rest.
        failures: Number of times that attempts failed since the last one that did not: those that are noted
            together count as one.
        failing_since: The time of the first of them.
        delivered: Number of events that were delivered.
        failed: Number of attempts that failed.
        given_up: Number of events whose last attempt failed.
        pending: Number of deliveries that wait.
        dead_letters: Number of events that were given up and not sent again since.
    """

    id: str
    organization: str
    url: str
    types: tuple[str, ...]
    action_maps: tuple[str, ...]
    created_at: datetime
    position: LogPosition
    disabled_at: datetime | None = None
    disabled_because: DisableReason | None = None
    resting_until: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    delivered: int = 0
    failed: int = 0
    given_up: int = 0
    pending: int = 0
    dead_letters: int = 0


@dataclass(frozen=True, slots=True)
class WebhookLag:
    """An endpoint, and how far the log is ahead of it.

    Attributes:
        endpoint: The endpoint.
        lag_events: Number of events in the log behind its position, of all organizations. Above 10,000 it is
            the number of positions instead, which may be larger.
        lag_seconds: Seconds since the oldest of those events was recorded; 0 if there are none, None if this
            build cannot read that event, or a server does not answer, whose events are not counted then.
    """

    endpoint: WebhookEndpoint
    lag_events: int
    lag_seconds: float | None


class EnabledWebhook(NamedTuple):
    """An endpoint that is enabled.

    Attributes:
        endpoint: The endpoint.
        is_due: True if an attempt to send a delivery that waits for it can be made now.
    """

    endpoint: WebhookEndpoint
    is_due: bool


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """An event that could not be delivered at once.

    Attributes:
        endpoint: The id of the endpoint.
        position: Position of the event in the log.
        name: The name of its kind.
        visitor: The pseudonym of its visitor. Deliveries of one visitor are made in the order of the log.
        tenure: The epoch of the tenure in which it was recorded (`Tenure`). Deliveries of a visitor are in
            order by tenure, and then by position.
        attempts: Number of attempts so far; 0 while it waits behind another one of the visitor.
        next_attempt_at: No attempt is made before this time.
        last_attempt_at: Time of the last attempt; None without any.
        last_status: HTTP status of the last answer; None if there was none.
        last_error: The trouble of the last attempt, for people.
        dead_at: The time at which it was given up; None while it waits.
    """

    endpoint: str
    position: int
    name: str
    visitor: str
    attempts: int
    next_attempt_at: datetime
    last_attempt_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None
    dead_at: datetime | None = None
    tenure: int = 0


class WebhookAttempts(NamedTuple):
    """The results of attempts that are noted together.

    Attributes:
        endpoint: The id of the endpoint.
        ended_at: The time at which the last of them had ended.
        delivered: Positions of the events that were delivered.
        failed: The deliveries of the others, as they are behind the attempt.
        held: Deliveries of new events that were not sent: they wait, behind others of their visitors or for
            the end of a failure.
        resting_until: Nothing is sent before this time, as some have failed; None to go on.
        are_resent: True if there were deliveries of these events before.
    """

    endpoint: str
    ended_at: datetime
    delivered: Sequence[int] = ()
    failed: Sequence[WebhookDelivery] = ()
    held: Sequence[WebhookDelivery] = ()
    resting_until: datetime | None = None
    are_resent: bool = False


class UnknownWebhookError(OfferlogError):
    """The organization does not have an endpoint of that id."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"there is no webhook {endpoint!r}: see `offerlog webhooks list`")


class WebhookLimitError(OfferlogError):
    """The organization has as many endpoints as it may have."""

    def __init__(self) -> None:
        super().__init__(f"an organization has at most {MOST_ENDPOINTS} webhooks: delete one first")


class DeliveryTurn(Protocol):
    """The right of this process to deliver: one process of a store has it."""

    def is_valid(self) -> bool:
        """Return False once the right is lost."""

    def close(self) -> None:
        """Give the right to another process."""


class WebhookStore(Protocol):
    """The store of endpoints and deliveries; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached, and `KeyringError` if a secret
    cannot be encrypted or decrypted.
    """

    def insert(self, endpoint: WebhookEndpoint, secret: bytes) -> None:
        """Store a new endpoint.

        Raises:
            WebhookLimitError: The organization has too many.
        """

    def all(self, organization: str | None = None) -> Sequence[WebhookLag]:
        """List the endpoints of one organization, or of all, in the order of their making."""

    def measure_lags(self, positions: Sequence[int]) -> Sequence[tuple[int, float | None]]:
        """Return how far the log of this server is ahead of some positions; see `WebhookLag`."""

    def is_any_enabled(self) -> bool:
        """Return True if an endpoint is enabled."""

    def enabled(self, now: datetime) -> Sequence[EnabledWebhook]:
        """List all endpoints that are enabled, and tell which of them have something due."""

    def find(self, endpoint: str) -> WebhookEndpoint | None:
        """Return an endpoint; None if there is none of that id."""

    def delete(self, endpoint: str) -> None:
        """Delete an endpoint, with all that waits for it."""

    def delete_all(self, organization: str) -> int:
        """Delete the endpoints of an organization, with all that waits for them; returns their number."""

    def secrets(self, endpoint: str, now: datetime) -> Sequence[bytes]:
        """Return the secrets that sign for an endpoint, the newest first."""

    def rotate(self, endpoint: str, secret: bytes, now: datetime, keep: timedelta) -> None:
        """Give an endpoint another secret; the former ones are valid for a while longer at most.

        Of the former ones, the newest are kept: `MOST_SECRETS` sign in all.
        """

    def disable(self, endpoint: str, because: DisableReason, now: datetime) -> None:
        """Disable an endpoint, unless it is disabled."""

    def enable(self, endpoint: str) -> None:
        """Enable an endpoint. It does not rest, and its count of failures begins anew."""

    def skip(self, endpoint: str, position: LogPosition) -> None:
        """Set an endpoint to a position of the log, and forget what waits for it; dead letters stay."""

    def next_due(self, endpoint: str, now: datetime, limit: int) -> Sequence[WebhookDelivery]:
        """Return deliveries that are due: each the first of its visitor, and of these those due longest."""

    def held_visitors(self, endpoint: str, visitors: Collection[str]) -> Collection[str]:
        """Return those of some visitors of whom a delivery waits."""

    def note_read(self, endpoint: str, position: LogPosition) -> None:
        """Note how far the log was read for an endpoint; a lower position of a log changes nothing there."""

    def note_all_read(self, endpoints: Collection[str], start: LogPosition, end: LogPosition) -> None:
        """Note that the log has nothing for some endpoints after `start` up to `end`.

        An endpoint that was set to a position before `start` meanwhile stays there.
        """

    def note_attempts(self, attempts: WebhookAttempts) -> None:
        """Note the results of some attempts: all of them, or none. All their positions are read then.

        Deliveries of what was delivered go. Of attempts that failed, deliveries are stored, and so are those
        of events that were not sent. One that was stored before is changed only if it is still there. A new
        one is stored only if the endpoint is not past its event: another process may have dealt with it.
        """

    def postpone(self, endpoint: str, position: int, until: datetime) -> None:
        """Let a delivery wait, without an attempt: its event cannot be read now."""

    def deliveries(self, endpoint: str, *, are_dead: bool, limit: int) -> Sequence[WebhookDelivery]:
        """List dead letters of an endpoint, or deliveries that wait, by position."""

    def send_again(self, endpoint: str, position: int | None, now: datetime) -> int:
        """Make a dead letter, or all of an endpoint, wait for an attempt again; returns their number."""

    def prune(self, before: datetime) -> int:
        """Delete some of the dead letters that were given up before a time; returns how many."""

    def claim_turn(self) -> DeliveryTurn | None:
        """Claim the right to deliver; None while another process has it."""


@dataclass(frozen=True, slots=True)
class WebhookResult:
    """The result of an attempt to deliver.

    Attributes:
        status: The HTTP status of the answer; None if there was none.
        error: The trouble in words, for people; empty if the event was delivered.
        retry_after: Seconds that the receiver asks to wait; None if it does not.
        seconds: Seconds that the attempt took.
    """

    status: int | None
    error: str
    retry_after: float | None
    seconds: float

    @property
    def is_delivered(self) -> bool:
        """True if the receiver has taken the event: a status from 200 to 299."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110, section 15


class WebhookSender(Protocol):
    """Sends webhooks, one after the other, and never to an address that is not allowed."""

    def check_url(self, url: str) -> str:
        """Return an address if webhooks can be sent there, as far as that can be said without looking it up.

        Raises:
            ArgumentError: They cannot.
        """

    def send(self, url: str, message_id: str, body: str, secrets: Sequence[bytes]) -> WebhookResult:
        """Send a message that is signed with each of the secrets.

        Raises:
            ClosedError: `close` was called meanwhile; the receiver may have the message.
        """

    def close(self) -> None:
        """End the attempt under way, and close the connection; another thread may call it."""
