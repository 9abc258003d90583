"""The ASGI application: routes, errors, headers."""

from pathlib import Path

from fastapi import FastAPI
from starlette.routing import Route

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.keys import KeyStore
from offerlog_infrastructure.http import problems
from offerlog_infrastructure.http.middleware.head import HeadAsGet
from offerlog_infrastructure.http.middleware.request_log import RequestLog
from offerlog_infrastructure.http.middleware.security_headers import SecurityHeaders
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
    install_state(app, ServiceState.build(service, keys, settings))
    problems.handle(app)
    # The framework's route describes it; this one, found first, spares each request the solving of parameters
    # that it has none of, a tenth of what a single signal costs.
    app.router.routes.append(Route("/v1/signals", signals.record_signals, methods=["POST"]))
    for routes in (signals, offers, visitors, reports, operations, stream, dashboard):
        app.include_router(routes.router)
    app.mount("/static", PublicFiles(directory=Path(__file__).parents[1] / "web" / "static"))
    app.add_middleware(HeadAsGet)
    app.add_middleware(WellFormed)
    app.add_middleware(RequestLog)
    app.add_middleware(SecurityHeaders)  # around it: what it answers gets them too
    return app
