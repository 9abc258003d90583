"""The ASGI application: its routes, middleware and state."""

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

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
    dashboard,
    offers,
    operations,
    reports,
    signals,
    stream,
    visitors,
)
from offerlog_infrastructure.http.routes.static_files import PublicFiles
from offerlog_infrastructure.http.state import ServiceState, install_state
from offerlog_infrastructure.settings import Settings

_STRAIGHT: Final = frozenset({"recordSignals", "makeOffer", "suppressions", "suppressionsOfVisitor"})
"""Operations that a page view waits for: they are served without the framework's layers."""


def create_app(service: Offerlog, keys: KeyStore, settings: Settings) -> FastAPI:
    """Build the application over an open service."""
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
    install_state(app, ServiceState.build(service, keys, settings))
    problems.handle(app)
    straight: list[APIRoute] = []
    for routes in (signals, offers, visitors, reports, operations, stream, dashboard):
        app.include_router(routes.router)
        described = (route for route in routes.router.routes if isinstance(route, APIRoute))
        straight += (route for route in described if route.operation_id in _STRAIGHT)
    app.mount("/static", PublicFiles(directory=Path(__file__).parents[1] / "web" / "static"))
    app.add_middleware(StraightRoutes, routes=straight)
    app.add_middleware(HeadAsGet)
    app.add_middleware(WellFormed)
    app.add_middleware(RequestLog)
    app.add_middleware(SecurityHeaders)  # the outermost one: the answers of the others get the headers too
    return app
