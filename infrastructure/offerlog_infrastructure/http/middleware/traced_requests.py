"""A span for each request. It needs OpenTelemetry, so it is loaded only if requests are traced."""

from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offerlog_infrastructure.http.middleware.request_log import route_path
from offerlog_infrastructure.observability.tracing import Tracing

_W3C: Final = TraceContextTextMapPropagator()
_CARRIED: Final = frozenset({b"traceparent", b"tracestate"})


class TracedRequests:
    """Continues the caller's trace, or begins one. Attributes have the names of the semantic conventions.

    The span shows the path of the route, because the path of the request may hold a customer id.
    """

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracer = tracing.tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carried = {
            name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CARRIED
        }
        attributes = {"http.request.method": scope["method"]}
        parent = _W3C.extract(carried, Context())
        span = self._tracer.start_span(scope["method"], parent, SpanKind.SERVER, attributes)

        async def send_traced(message: Message) -> None:
            if message["type"] == "http.response.start":
                _set_answer(span, message)
            await send(message)

        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                await self._app(scope, receive, send_traced)
            except BaseException as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__name__)
                raise
            finally:
                path = route_path(scope)
                if path is not None:
                    span.update_name(f"{scope['method']} {path}")
                    span.set_attribute("http.route", path)


def _set_answer(span: Span, start: Message) -> None:
    status: int = start["status"]
    span.set_attribute("http.response.status_code", status)
    if status >= 500:  # noqa: PLR2004 - errors of the server, by the semantic conventions
        span.set_status(StatusCode.ERROR)
    for name, value in start.get("headers", ()):
        if name == b"x-request-id":
            span.set_attribute("offerlog.request_id", value.decode())
