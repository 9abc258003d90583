"""A span for each request; needs OpenTelemetry, so it is loaded only where requests are traced."""

from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offerlog_infrastructure.http.middleware.request_log import path_of
from offerlog_infrastructure.observability.tracing import Tracing

_W3C: Final = TraceContextTextMapPropagator()
_CARRIED: Final = frozenset({b"traceparent", b"tracestate"})


class TracedRequests:
    """Goes on with the caller's trace, or begins one; attributes as the semantic conventions name them.

    The path is its route's, as customer ids stand in paths.
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
        told_of = {"http.request.method": scope["method"]}
        parent = _W3C.extract(carried, Context())
        span = self._tracer.start_span(scope["method"], parent, SpanKind.SERVER, told_of)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                _note(span, message)
            await send(message)

        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                await self._app(scope, receive, told)
            except BaseException as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__name__)
                raise
            finally:
                path = path_of(scope)
                if path is not None:
                    span.update_name(f"{scope['method']} {path}")
                    span.set_attribute("http.route", path)


def _note(span: Span, start: Message) -> None:
    status: int = start["status"]
    span.set_attribute("http.response.status_code", status)
    if status >= 500:  # noqa: PLR2004 - a server's span is in error from there on
        span.set_status(StatusCode.ERROR)
    for name, value in start.get("headers", ()):
        if name == b"x-request-id":
            span.set_attribute("offerlog.request_id", value.decode())
