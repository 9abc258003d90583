"""State of the HTTP service: one typed object for the application, and the key of each request.

The framework keeps both in attributes without types. Only this module touches those attributes.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Self

from fastapi import FastAPI
from starlette.requests import HTTPConnection

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.keys import Key, KeyStore
from offerlog_application.recording.completions import Completions
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.http.metrics import ServiceMetrics
from offerlog_infrastructure.http.operational_reads import OperationalReads
from offerlog_infrastructure.http.peers import TrustedProxies
from offerlog_infrastructure.http.requests.held_bodies import HeldBodies
from offerlog_infrastructure.http.requests.key_checks import KeyChecks
from offerlog_infrastructure.http.requests.rates import TokenBuckets, WidgetRates
from offerlog_infrastructure.http.requests.sessions import Sessions
from offerlog_infrastructure.http.requests.widget_maps import WidgetMaps
from offerlog_infrastructure.http.shared.counts import OpenCounts
from offerlog_infrastructure.http.shared.state import SharedState
from offerlog_infrastructure.http.streams.feed_waits import FeedWaits
from offerlog_infrastructure.http.streams.live_reports import LiveReports
from offerlog_infrastructure.http.suppression_reads import SuppressionReads
from offerlog_infrastructure.http.threads.gathered_look_ups import GatheredLookUps
from offerlog_infrastructure.http.threads.thread_pools import ThreadPools
from offerlog_infrastructure.settings import Settings

_ATTRIBUTE: Final = "offerlog"

_VISITOR_OFFERS_PER_SECOND: Final = 1.0
_VISITOR_OFFERS_AT_ONCE: Final = 60.0
"""Requests for offers to one visitor, with visitor tokens."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """Everything that routes and middleware share in one application.

    Attributes:
        service: The application service.
        settings: The settings that the application was made with.
        threads: The thread pools, one for each kind of work.
        suppression_reads: Reads of suppressions, for threads.
        look_ups: Look-ups of suppressions, gathered; each answer is encoded.
        completions: Waits for answers of the writer's thread.
        key_checks: Look-ups of keys.
        sessions: Sessions of the dashboard.
        widget_rates: Request rates of widget keys.
        visitor_rates: Request rates of visitors for whom pages ask for offers.
        widget_maps: Bound on the new action maps that widget keys may name.
        held_bodies: Memory that partly received bodies take up.
        metrics: Counters and gauges for Prometheus.
        operational_reads: Projection statuses and metrics, read once for all callers.
        feed_waits: Clients that wait for events of the feed.
        live_reports: Live reports of the organizations that have open streams.
        stopping: Set when the service begins to stop.
        webhook_tests: Counts the tests of webhooks that are under way, by organization.
        shared: What this process shares with the others of the service.
        has_metrics_port: `/metrics` is answered on a separate port, and not on the main port.
    """

    service: Offerlog
    settings: Settings
    threads: ThreadPools
    suppression_reads: SuppressionReads
    look_ups: GatheredLookUps[bytes]
    completions: Completions
    key_checks: KeyChecks
    sessions: Sessions
    widget_rates: WidgetRates
    visitor_rates: TokenBuckets
    widget_maps: WidgetMaps
    held_bodies: HeldBodies
    metrics: ServiceMetrics
    operational_reads: OperationalReads
    live_reports: LiveReports
    feed_waits: FeedWaits
    stopping: asyncio.Event
    webhook_tests: OpenCounts
    shared: SharedState
    has_metrics_port: bool = False

    @classmethod
    def build(cls, service: Offerlog, keys: KeyStore, settings: Settings, shared: SharedState) -> Self:
        """Build the state of a new application over an open service."""
        make = shared.make_buckets
        metrics = ServiceMetrics(service, shared.exchange)
        threads, reads = ThreadPools(), SuppressionReads(service)
        key_checks, stopping = (
            KeyChecks(keys, service.sessions, threads.keys, service.prepare, service.is_prepared, make),
            asyncio.Event(),
        )
        return cls(
            service=service,
            settings=settings,
            threads=threads,
            suppression_reads=reads,
            look_ups=GatheredLookUps(threads.look_ups, reads.read, reads.find_server),
            completions=Completions(),
            key_checks=key_checks,
            sessions=Sessions(key_checks, make),
            widget_rates=WidgetRates(settings.widget_rate, settings.widget_peer_rate, make),
            visitor_rates=make("visitors", _VISITOR_OFFERS_PER_SECOND, _VISITOR_OFFERS_AT_ONCE),
            widget_maps=WidgetMaps(
                service.changes.known_maps, threads.look_ups, settings.widget_new_maps, make
            ),
            held_bodies=HeldBodies(TrustedProxies(settings.trusted_proxies), shared.workers),
            metrics=metrics,
            operational_reads=OperationalReads(service, metrics),
            live_reports=LiveReports(service, threads.reports, shared.counts("streams")),
            feed_waits=FeedWaits(service, stopping, shared.counts("waits")),
            stopping=stopping,
            webhook_tests=shared.counts("webhook tests"),
            shared=shared,
        )


def install_state(app: FastAPI, state: ServiceState) -> None:
    """Give an application its state, in place of an earlier one."""
    setattr(app.state, _ATTRIBUTE, state)


def state_of_app(app: FastAPI) -> ServiceState:
    """Return the state of an application.

    Raises:
        AttributeError: The application has no state.
    """
    state: ServiceState = getattr(app.state, _ATTRIBUTE)
    return state


def state_of(connection: HTTPConnection) -> ServiceState:
    """Return the state of the application that serves this request."""
    return state_of_app(connection.app)


def set_key(connection: HTTPConnection, key: Key) -> None:
    """Note the key that this request was allowed with."""
    connection.state.key = key


def key_of(connection: HTTPConnection) -> Key:
    """Return the key that this request was allowed with.

    Raises:
        AttributeError: No key has been noted: the route needs none.
    """
    key: Key = connection.state.key
    return key


def set_visitor(connection: HTTPConnection, visitor: VisitorKey) -> None:
    """Note the one visitor that this request is about."""
    connection.state.visitor = visitor


def visitor_of(connection: HTTPConnection) -> VisitorKey | None:
    """Return the one visitor that this request is about; None if none was noted."""
    visitor: VisitorKey | None = getattr(connection.state, "visitor", None)
    return visitor
