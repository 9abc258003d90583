"""Spans of commits and projections: whom they follow, where many meet in one."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext, TraceFlags, use_span

from offerlog_application.ports.event_log import StoreUnavailableError, VersionConflictError
from offerlog_application.ports.tracing import ProjectedPage
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_infrastructure.observability.tracing import Tracing
from support.memory_log import MemoryLog
from support.writing import ONE, THREE, TWO, Answers, case, held, make_writer, other_writer, send

UNSAMPLED = NonRecordingSpan(SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(0)))


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Where the spans of a test end up."""
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> Tracing:
    """Tracing to there."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Tracing(provider)


def identity(span: Span) -> int:
    """A span's id."""
    return span.get_span_context().span_id


def linked(span: ReadableSpan) -> list[int]:
    """The spans that it names."""
    return [link.context.span_id for link in span.links]


def last(spans: InMemorySpanExporter) -> ReadableSpan:
    """The span that ended last."""
    return spans.get_finished_spans()[-1]


def sent(writer: GroupCommitWriter, span: Span, stream: UUID) -> Answers:
    """Hand in a case while in a span."""
    with use_span(span):
        return send(writer, case(stream))


def test_a_commit_follows_all_whose_work_it_holds(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    """Child of the first, linked to each once; who has no span is counted only."""
    log = MemoryLog()
    writer = make_writer(log, trace=tracing)
    held(writer, log)
    first, second = tracing.tracer.start_span("first"), tracing.tracer.start_span("second")
    futures = [sent(writer, first, ONE), sent(writer, second, TWO), sent(writer, first, THREE)]
    futures.append(send(writer, case(UUID(int=4))))
    log.open.set()
    assert [future.result(10) for future in futures] == [["recorded"]] * 4
    writer.close()
    lonely, commit = spans.get_finished_spans()
    assert (lonely.parent, linked(lonely)) == (None, [])
    assert commit.parent == first.get_span_context()
    assert linked(commit) == [identity(first), identity(second)]
    assert commit.attributes is not None
    span_attributes = {
        name.removeprefix("offerlog."): span_attributes for name, span_attributes in commit.attributes.items()
    }
    assert span_attributes == {"submissions": 4, "cases": 4, "events": 4, "retries": 0, "position": 5}


def parents(tracing: Tracing, spans: InMemorySpanExporter, *origins: Span) -> list[SpanContext | None]:
    """Whose child the commit is that holds the work of all of these; nothing where it leaves no span."""
    log = MemoryLog()
    writer = make_writer(log, trace=tracing)
    held(writer, log)
    futures = [sent(writer, span, UUID(int=n)) for n, span in enumerate(origins)]
    log.open.set()
    for future in futures:
        future.result(10)
    writer.close()
    lonely, *commits = spans.get_finished_spans()
    spans.clear()
    assert lonely.parent is None
    return [commit.parent for commit in commits]


def test_a_commit_follows_somebody_who_is_sampled(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    """As long as there is one: then it is in that trace; else in none."""
    sampled = tracing.tracer.start_span("sampled")
    assert parents(tracing, spans, INVALID_SPAN, UNSAMPLED, sampled) == [sampled.get_span_context()]
    assert parents(tracing, spans, INVALID_SPAN, UNSAMPLED) == []


def test_a_commit_tells_how_often_it_was_tried(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    """Another writer got there first, once; what is a duplicate by then is no event."""
    log = MemoryLog()

    def taken(_: Sequence[RecordedEvent[Event]]) -> None:
        log.before_append = len
        other_writer(log, ONE)
        raise VersionConflictError(ONE, waiting=False)

    log.before_append = taken
    writer = make_writer(log, trace=tracing)
    assert send(writer, case(ONE)).result(10) == ["duplicate"]
    writer.close()
    span_attributes = last(spans).attributes
    assert span_attributes == {
        "offerlog.submissions": 1,
        "offerlog.cases": 1,
        "offerlog.events": 0,
        "offerlog.retries": 1,
    }


def test_a_commit_that_fails_is_in_error(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    """By the error's class alone: what it says may quote a row."""
    log = MemoryLog()

    def away(_: Sequence[RecordedEvent[Event]]) -> None:
        raise StoreUnavailableError("visitor-1")

    log.before_append = away
    writer = make_writer(log, trace=tracing)
    with pytest.raises(StoreUnavailableError):
        send(writer, case(ONE)).result(10)
    writer.close()
    assert last(spans).status.status_code.name == "ERROR"
    assert (last(spans).attributes or {})["error.type"] == "StoreUnavailableError"
    assert "visitor-1" not in last(spans).to_json()


def test_a_page_follows_the_commits_in_it(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    """Those whose events are between its positions, also a part of them; not those before and behind."""
    for events, position in ((3, 3), (4, 7), (2, 10), (5, 15), (1, 16)):
        with tracing.commit([], events) as commit:
            commit.events, commit.position = events, position
    with tracing.commit([], 1):
        pass  # nothing was appended
    _, *commits, _, _ = [span.context.span_id for span in spans.get_finished_spans() if span.context]
    tracing.page(ProjectedPage("performance", behind=3, position=12, events=8, began=1_000, ended=2_000))
    page = last(spans)
    assert page.name == "project performance"
    assert linked(page) == commits[:3]
    assert page.parent is not None
    assert page.parent.span_id == commits[0]
    assert (page.start_time, page.end_time) == (1_000, 2_000)
    tracing.page(ProjectedPage("performance", behind=16, position=20, events=4, began=1_000, ended=2_000))
    assert (last(spans).parent, linked(last(spans))) == (None, [])


def test_what_is_remembered_is_bounded(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    """A projection far behind is linked to no more than a span may hold, and old commits are forgotten."""
    for position in range(1, 1_502):
        with tracing.commit([], 1) as commit:
            commit.events, commit.position = 1, position
    tracing.page(ProjectedPage("performance", behind=0, position=400, events=400, began=1, ended=2))
    assert linked(last(spans)) == []
    tracing.page(ProjectedPage("performance", behind=400, position=1_501, events=1_101, began=1, ended=2))
    assert len(linked(last(spans))) == 128
