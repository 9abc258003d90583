"""The ASGI application: its routes, middleware and state."""

from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.keys import KeyStore
from offerlog_infrastructure.http import problems
from offerlog_infrastructure.http.middleware.head import HeadAsGet
from offerlog_infrastructure.http.middleware.request_log import RequestLog
from offerlog_infrastructure.http.middleware.security_headers import SecurityHeaders
from offerlog_infrastructure.http.middleware.straight_routes import StraightRoutes
from offerlog_infrastructure.http.middleware.well_formed import WellFormed
from offerlog_infrastructure.http.openapi.document import DescribedAPI
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse
from offerlog_infrastructure.http.routes import (
    action_map_policies,
    administration,
    analysis,
    dashboard,
    events,
    offers,
    operations,
    privacy,
    recent_visitors,
    reports,
    signals,
    stream,
    subscriptions,
    timelines,
    visitors,
    webhooks,
)
from offerlog_infrastructure.http.routes import (
    keys as key_routes,
)
from offerlog_infrastructure.http.routes.static_files import PublicFiles
from offerlog_infrastructure.http.shared.state import OneProcess, SharedState
from offerlog_infrastructure.http.state import ServiceState, install_state
from offerlog_infrastructure.settings import Settings

_STRAIGHT: Final = frozenset({"recordSignals", "makeOffer", "suppressions", "suppressionsOfVisitor"})
"""Operations that a page view waits for: they are served without the framework's layers."""


def create_app(
    service: Offerlog, keys: KeyStore, settings: Settings, shared: SharedState | None = None
) -> FastAPI:
    """Build the application over an open service.

    Args:
        service: The service.
        keys: Its keys.
        settings: The settings.
        shared: What the processes of the service share; None where there is one process.
    """
    app = DescribedAPI(
        title="offerlog",
        summary="The event-sourced log of web chat offers",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        default_response_class=EscapedJSONResponse,
        redirect_slashes=False,  # a redirect would repeat the Host header, which a caller chooses
        # The framework's own spans hold whole paths and queries, and so customer ids.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    state = ServiceState.build(service, keys, settings, shared or OneProcess())
    install_state(app, state)
    described: list[BaseRoute] = []
    for routes in (
        signals,
        offers,
        visitors,
        reports,
        analysis,
        timelines,
        recent_visitors,
        operations,
        privacy,
        key_routes,
        stream,
        events,
        administration,
        subscriptions,
        webhooks,
        action_map_policies,
        dashboard,
    ):
        app.include_router(routes.router)
        described += routes.router.routes
    problems.handle(app, described)
    straight = [
        route for route in described if isinstance(route, APIRoute) and route.operation_id in _STRAIGHT
    ]
    app.mount("/static", PublicFiles())
    app.add_middleware(StraightRoutes, routes=straight)
    app.add_middleware(HeadAsGet)
    app.add_middleware(WellFormed)
    app.add_middleware(RequestLog, durations=state.metrics.requests)
    app.add_middleware(SecurityHeaders)  # the outermost one: the answers of the others get the headers too
    return app
