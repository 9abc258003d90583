"""OpenTelemetry spans of commits and projections; they need the extra `otel`.

A commit serves many requests, and a page of a projection many commits. Each span is a child of the first
sampled one of them, so that a trace is connected, and it has links to all of them.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, StatusCode
from structlog.typing import EventDict, WrappedLogger

from offerlog_application.ports.tracing import Commit, ProjectedPage

_REMEMBERED: Final = 1_000
"""Most commits that a projection's page can be linked to: the last ones."""

_MAX_LINKS: Final = 128


class Tracing:
    """Implementation of the port `Trace`; thread-safe.

    Args:
        provider: Receives the spans; it is shut down at the end.

    Attributes:
        tracer: Starts the spans.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self.tracer = provider.get_tracer("offerlog", version("offerlog"))
        self._commits: deque[tuple[int, int, SpanContext]] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()

    def origin(self) -> SpanContext:
        """Return the present span of the calling thread or task."""
        return trace.get_current_span().get_span_context()

    @contextmanager
    def commit(self, origins: Sequence[object], commands: int) -> Iterator[Commit]:
        """Start a span around a commit. Of an error it shows only the class, as the text may quote rows."""
        commit = Commit()
        span = self._follow("commit", [one for one in origins if isinstance(one, SpanContext)])
        try:
            yield commit
        except BaseException as error:
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            span.set_attribute("offerlog.submissions", len(origins))
            span.set_attribute("offerlog.cases", commands)
            span.set_attribute("offerlog.events", commit.events)
            span.set_attribute("offerlog.retries", commit.retries)
            if commit.position is not None:
                span.set_attribute("offerlog.position", commit.position)
                first = commit.position - commit.events + 1
                with self._lock:
                    self._commits.append((first, commit.position, span.get_span_context()))
            span.end()

    def page(self, page: ProjectedPage) -> None:
        """Add a span for the time in which a projection applied a page."""
        span = self._follow(f"project {page.projection}", self._commits_of(page), page.began)
        span.set_attribute("offerlog.view", page.projection)
        span.set_attribute("offerlog.behind", page.behind)
        span.set_attribute("offerlog.position", page.position)
        span.set_attribute("offerlog.events", page.events)
        span.end(page.ended)

    def close(self) -> None:
        """Send the remaining spans."""
        self._provider.shutdown()

    def _commits_of(self, page: ProjectedPage) -> list[SpanContext]:
        contexts = []
        with self._lock:
            for first, last, context in reversed(self._commits):
                if last <= page.behind:
                    break
                if first <= page.position:
                    contexts.append(context)
        return contexts[::-1]

    def _follow(self, name: str, origins: Iterable[SpanContext], began: int | None = None) -> Span:
        """Start a span that follows others; repeated ones count once."""
        known = list({one.span_id: one for one in origins if one.is_valid}.values())
        sampled = [one for one in known if one.trace_flags.sampled]
        context = Context()
        for one in (sampled or known)[:1]:
            context = trace.set_span_in_context(NonRecordingSpan(one), context)
        links = [Link(one) for one in sampled[:_MAX_LINKS]]
        return self.tracer.start_span(name, context, links=links, start_time=began)


def start_tracing() -> Tracing:
    """Start tracing to the exporter that the standard variables (`OTEL_*`) name."""
    ours = Resource.create({"service.name": "offerlog", "service.version": version("offerlog")})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def add_trace_id(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Add the id of its trace to a log line."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        line["trace_id"] = trace.format_trace_id(context.trace_id)
    return line
