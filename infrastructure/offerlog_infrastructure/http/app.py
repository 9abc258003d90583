"""The ASGI application: routes, errors, headers."""

import asyncio
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offerlog_application.ports.keys import KeyStore
from offerlog_infrastructure.http import problems
from offerlog_infrastructure.http.live_reports import LiveReports
from offerlog_infrastructure.http.metrics import Metrics
from offerlog_infrastructure.http.middleware.escaped import EscapedJSONResponse
from offerlog_infrastructure.http.middleware.head import HeadAsGet
from offerlog_infrastructure.http.middleware.request_log import RequestLog
from offerlog_infrastructure.http.middleware.well_formed import WellFormed
from offerlog_infrastructure.http.openapi.document import DescribedAPI
from offerlog_infrastructure.http.requests.access import KeyChecks
from offerlog_infrastructure.http.requests.held_bodies import HeldBodies
from offerlog_infrastructure.http.requests.rates import WidgetRates
from offerlog_infrastructure.http.requests.sessions import Sessions
from offerlog_infrastructure.http.requests.widget_maps import WidgetMaps
from offerlog_infrastructure.http.routes import (
    dashboard,
    offers,
    operations,
    reports,
    signals,
    stream,
    visitors,
)
from offerlog_infrastructure.http.routes.operations import Operations
from offerlog_infrastructure.http.server.admission import TrustedProxies
from offerlog_infrastructure.http.threads.arrivals import Arrivals
from offerlog_infrastructure.http.threads.thread_pools import ThreadPools
from offerlog_infrastructure.service import Offerlog
from offerlog_infrastructure.settings import Settings

_HEADERS: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"cache-control", b"no-store"),
)
_OPEN: Final = (
    (b"cross-origin-resource-policy", b"cross-origin"),  # else browsers report an error for each beacon
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Retry-After, X-Request-Id"),
)


def create_app(service: Offerlog, keys: KeyStore, settings: Settings) -> FastAPI:
    """The application over an open service."""
    app = DescribedAPI(
        title="offerlog",
        summary="The event-sourced log of web chat offers",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        default_response_class=EscapedJSONResponse,
        redirect_slashes=False,  # to an address made of the Host header, that would be
        # The framework's own spans hold paths and queries as they came, and so customer ids.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = service
    app.state.settings = settings
    app.state.threads = ThreadPools()
    app.state.key_checks = KeyChecks(keys, app.state.threads.keys, service.prepare)
    app.state.widget_rates = WidgetRates(settings.widget_rate, settings.widget_peer_rate)
    app.state.arrivals = Arrivals()
    app.state.metrics = Metrics(service)
    app.state.sessions = Sessions(app.state.key_checks)
    app.state.live_reports = LiveReports(service, app.state.threads.reports)
    app.state.widget_maps = WidgetMaps(
        service.changes.known_maps, app.state.threads.look_ups, settings.widget_new_maps
    )
    app.state.operations = Operations(service, app.state.metrics)
    app.state.held_bodies = HeldBodies(TrustedProxies(settings.trusted_proxies))
    app.state.stopping = asyncio.Event()
    problems.handle(app)
    # The framework's route describes it; this one, found first, spares each request the solving of parameters
    # that it has none of, a tenth of what a single signal costs.
    app.router.routes.append(Route("/v1/signals", signals.record_signals, methods=["POST"]))
    for routes in (signals, offers, visitors, reports, operations, stream, dashboard):
        app.include_router(routes.router)
    app.mount("/static", _Static(directory=Path(__file__).parents[1] / "web" / "static"))
    app.add_middleware(HeadAsGet)
    app.add_middleware(WellFormed)
    app.add_middleware(RequestLog)
    app.add_middleware(_Headers)  # around it: what it answers gets them too
    return app


class _Static(StaticFiles):
    """Files that any site may load and any cache may keep for an hour."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """As its class does."""
        answer = super().file_response(*args, **kwargs)
        answer.headers["Access-Control-Allow-Origin"] = "*"
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        answer.headers["Cache-Control"] = "public, max-age=3600"
        return answer


class _Headers:
    """Security headers on every answer that has none of its own.

    Any page may read what becomes of its signals, errors too: whether it may send them, the key says.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                named = {name for name, _ in headers}
                if scope["path"] == "/v1/signals":
                    headers += _OPEN
                    named |= {name for name, _ in _OPEN}
                headers += [header for header in _HEADERS if header[0] not in named]
            await send(message)

        await self._app(scope, receive, told if scope["type"] == "http" else send)
