"""All ports of one store together. The application service is built over them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from offerlog_application.ports.action_map_policies import PolicyStore
from offerlog_application.ports.archive import Archiver
from offerlog_application.ports.erasure import Erasures, OrganizationVisitors
from offerlog_application.ports.event_log import EventLog, Streams
from offerlog_application.ports.event_source import EventSource
from offerlog_application.ports.keys import KeyStore
from offerlog_application.ports.master_keys import MasterKeys
from offerlog_application.ports.offer_parts import OfferParts
from offerlog_application.ports.offer_reads import OfferReads
from offerlog_application.ports.organizations import Organizations
from offerlog_application.ports.projections import DeadLetters, EventKinds, Proofs, Rebuilds
from offerlog_application.ports.read_side import (
    Changes,
    PerformanceSource,
    ReadSide,
    StreamReader,
    VisitorReader,
)
from offerlog_application.ports.recent_parts import RecentParts
from offerlog_application.ports.recent_visitors import RecentVisitors
from offerlog_application.ports.refusals import RefusalCounter, RefusalLog
from offerlog_application.ports.replays import Replays
from offerlog_application.ports.service_log import ServiceLog
from offerlog_application.ports.sessions import SessionStore
from offerlog_application.ports.short_signals import ParkedShortSignals
from offerlog_application.ports.store_figures import StoreFiguresReader
from offerlog_application.ports.store_trouble import TroubleCounts
from offerlog_application.ports.stream_source import StreamSource
from offerlog_application.ports.subscriptions import SubscriptionStore
from offerlog_application.ports.webhooks import WebhookSender, WebhookStore
from offerlog_application.ports.write_fence import WriteFence


class Log(EventLog, Streams, Protocol):
    """The log, as the service uses it."""

    def last(self) -> int:
        """Return the last position in the log; 0 if the log is empty.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def close(self) -> None:
        """Release the connections of the writer's side of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The ports of one store.

    Attributes:
        log: Loads and appends.
        fence: Stops writers that decided before a change.
        service_log: Events that belong to no visitor-offer.
        policies: Policies of action maps.
        short_signals: Short signals that wait for their action.
        erasures: Erasure, legal holds, and what is held of a visitor.
        streams: Reads whole streams for audits.
        replays: The log as it stood at an earlier position.
        visitors: Reads all streams of one visitor.
        reads: Lists, look-ups and positions of the projections.
        performance: Counts for the performance report.
        offers: Single offers and their ends.
        recent_visitors: The visitors with the newest activity.
        refusals: The refusal log.
        refusal_counts: Its counts.
        proofs: Proofs of the projections.
        dead_letters: Visitor-offers that projections could not apply.
        rebuilds: Rebuilds of projections.
        kinds: The kinds of stored events.
        keys: API keys.
        sessions: Sessions of the dashboard.
        master_keys: Keys of the keyring.
        organizations: Known organizations.
        organization_visitors: Visitors and refusals of an organization.
        changes: Action maps of the newest events.
        event_source: The log, for those who follow it.
        stream_source: The log stream by stream, for exports.
        subscriptions: Cursors of those who follow it, by name.
        webhooks: Endpoints of webhooks, and what waits for them.
        make_webhook_sender: Makes what sends webhooks.
        figures: Figures that operators watch.
        troubles: Failed calls of the store in this process, by reason.
        archiver: Moves cold streams into the archive; None for a log in memory.
        offer_parts: Adds the store's part to answers about offers of several stores. None for a log in
            memory, and for several stores together.
        recent_parts: Adds the store's part to the list of recent visitors; None likewise.
    """

    log: Log
    fence: WriteFence
    service_log: ServiceLog
    policies: PolicyStore
    short_signals: ParkedShortSignals
    erasures: Erasures
    streams: StreamReader
    replays: Replays
    visitors: VisitorReader
    reads: ReadSide
    performance: PerformanceSource
    offers: OfferReads
    recent_visitors: RecentVisitors
    refusals: RefusalLog
    refusal_counts: RefusalCounter
    proofs: Proofs
    dead_letters: DeadLetters
    rebuilds: Rebuilds
    kinds: EventKinds
    keys: KeyStore
    sessions: SessionStore
    master_keys: MasterKeys
    organizations: Organizations
    organization_visitors: OrganizationVisitors
    changes: Changes
    event_source: EventSource
    stream_source: StreamSource
    subscriptions: SubscriptionStore
    webhooks: WebhookStore
    make_webhook_sender: Callable[[], WebhookSender]
    figures: StoreFiguresReader
    troubles: TroubleCounts
    archiver: Archiver | None = None
    offer_parts: OfferParts | None = None
    recent_parts: RecentParts | None = None
