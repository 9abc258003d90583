"""Traces, where they are asked for: a signal can be followed from its request to what readers see."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from offerlog_application.ports.read_models import KeptSignal
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.http.middleware.traced_requests import TracedRequests
from offerlog_infrastructure.http.openapi import examples
from offerlog_infrastructure.http.responses import pages
from offerlog_infrastructure.observability.tracing import Tracing
from support.http_site import Site, served
from support.keyrings import keyring_variable
from support.preloaded import preloaded_code
from support.processes import finish

pytest_plugins = ("support.http_site",)

WHO = "visitor-whom-nobody-names"
SIGNAL = examples.SIGNAL | {"customerId": WHO}
CALLER = "00-{trace}-00f067aa0ba902b7-{flags}"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
VIEWS = ("current_state", "performance", "suppression")


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Where the spans of a test end up."""
    return InMemorySpanExporter()


@pytest.fixture
def traced(dsn: str, spans: InMemorySpanExporter) -> Iterator[Site]:
    """The service with traces."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracing = Tracing(provider)
    with served(dsn, tracing, lambda app: app.add_middleware(TracedRequests, tracing=tracing)) as site:
        yield site
    tracing.close()


def named(spans: InMemorySpanExporter, *names: str) -> list[ReadableSpan]:
    """One span of each of these names, as soon as they are there."""
    for _ in range(500):
        found = {span.name: span for span in spans.get_finished_spans()}
        if found.keys() >= set(names):
            return [found[name] for name in names]
        time.sleep(0.01)
    raise AssertionError((names, found.keys()))


def linked(span: ReadableSpan) -> list[int]:
    """The spans that it names."""
    return [link.context.span_id for link in span.links]


def identity(span: ReadableSpan) -> int:
    """A span's id."""
    assert span.context is not None
    return int(span.context.span_id)


def test_a_signal_is_followed_from_its_request_to_what_readers_see(
    traced: Site, spans: InMemorySpanExporter
) -> None:
    """In the caller's own trace: request, commit, and a page of every projection."""
    with traced.client() as client:
        headers = {"traceparent": CALLER.format(trace=TRACE, flags="01"), "X-Request-Id": "order-4711"}
        answer = client.post("/v1/signals", json=[SIGNAL, SIGNAL, 7], headers=headers)
    request, commit, *pages = named(
        spans, "POST /v1/signals", "commit", *(f"project {view}" for view in VIEWS)
    )
    assert {format(span.context.trace_id, "032x") for span in (request, commit, *pages)} == {TRACE}
    assert request.parent is not None
    assert format(request.parent.span_id, "016x") == "00f067aa0ba902b7"
    assert request.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v1/signals",
        "offerlog.request_id": "order-4711",
    }
    assert commit.parent is not None
    assert linked(commit) == [commit.parent.span_id] == [identity(request)]
    position = answer.json()["position"]
    assert commit.attributes == {
        "offerlog.submissions": 1,
        "offerlog.cases": 2,
        "offerlog.events": 1,
        "offerlog.retries": 0,
        "offerlog.position": position,
    }
    for page, view in zip(pages, VIEWS, strict=True):
        assert page.parent is not None
        assert linked(page) == [page.parent.span_id] == [identity(commit)]
        assert page.attributes == {
            "offerlog.view": view,
            "offerlog.behind": 0,
            "offerlog.position": position,
            "offerlog.events": 1,
        }
        assert page.start_time is not None
        assert page.end_time is not None
        assert page.start_time < page.end_time


def test_an_offer_is_followed_too(traced: Site, spans: InMemorySpanExporter) -> None:
    """Though another thread hands it in."""
    with traced.client() as client:
        assert client.post("/v1/offers", json=examples.OFFER).status_code == 201
    request, commit = named(spans, "POST /v1/offers", "commit")
    assert linked(commit) == [identity(request)]


def test_spans_name_nobody(
    traced: Site, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the path holds, and whatever an error says; a route that is not there has no name."""

    def broken(**_: object) -> None:
        raise LookupError(WHO)

    def breaking_off(**_: object) -> Iterator[KeptSignal]:
        yield KeptSignal(datetime.now(UTC), Reason.MALFORMED, None, None, b"x", 1)
        raise LookupError(WHO)

    monkeypatch.setattr(pages, "_PIECE_BYTES", 1)  # the first row is sent before the second one is read

    monkeypatch.setattr(traced.service, "history", broken)
    monkeypatch.setattr(traced.service, "refusals", breaking_off)
    with traced.client() as client:
        secret = client.headers["Authorization"].split("_", 3)[3]
        client.post("/v1/signals", json=[SIGNAL, WHO], headers={"tracestate": f"a={WHO}"})
        client.get(f"/v1/visitors/{WHO}/suppressions", params={"key": WHO})
        client.get(f"/v1/visitors/{WHO}/action-maps/{examples.SIGNAL['actionMapId']}/history")
        client.get(f"/nothing/{WHO}")
        client.get(f"/static/{WHO}")
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/v1/refusals", headers={"Accept": "application/x-ndjson"})
    template = "/v1/visitors/{customer_id}/action-maps/{action_map_id}/history"
    names = (f"GET {template}", "GET /v1/refusals", "GET", "GET /static", f"project {VIEWS[0]}")
    failed, broken_off, missing, *_ = named(spans, *names)
    assert failed.status.status_code.name == broken_off.status.status_code.name == "ERROR"
    assert not broken_off.events
    assert missing.attributes is not None
    assert missing.attributes["http.response.status_code"] == 404
    text = "".join(span.to_json() for span in spans.get_finished_spans())
    assert WHO not in text
    assert secret not in text


def test_whoever_is_not_sampled_leaves_nothing(traced: Site, spans: InMemorySpanExporter) -> None:
    """The caller's decision holds for the commit and the projections."""
    with traced.client() as client:
        headers = {"traceparent": CALLER.format(trace=TRACE, flags="00")}
        traced.service.wait(client.post("/v1/signals", json=SIGNAL, headers=headers).json()["position"])
        client.get("/healthz")
    named(spans, "GET /healthz")
    assert {span.name for span in spans.get_finished_spans()} == {"GET /healthz"}


def test_the_frameworks_own_spans_stay_off(
    site: Site, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody has set a provider for the whole process: they would hold the path."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)
    with site.client() as client:
        assert client.get(f"/v1/visitors/{WHO}/suppressions").status_code == 200
    assert not spans.get_finished_spans()


class Collector(BaseHTTPRequestHandler):
    """Takes what an exporter sends."""

    taken: tuple[tuple[str, ExportTraceServiceRequest], ...] = ()

    def do_POST(self) -> None:
        """Keep it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Collector.taken += ((self.path, ExportTraceServiceRequest.FromString(body)),)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve_check(dsn: str, tmp_path: Path, before: str = "", after: str = "", **variables: str) -> list[str]:
    """Run `offerlog serve --check` in a separate process, a new Python where `before` changes it.

    Returns its log, between the lines about its start and its end.
    """
    script = tmp_path / "serve.py"
    words = ["offerlog", "serve", "--port", "0", "--check"]
    script.write_text(
        f"import sys\n{before}\nfrom offerlog_infrastructure.cli.main import main\nsys.argv = {words}\n"
        f"try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n{after}\n"
    )
    first_key = {"OFFERLOG_ADMIN_KEY_FILE": str(tmp_path / "key")}  # else a line in the log asks for one
    environment = {"OFFERLOG_DATABASE_URL": dsn, "PATH": "", **keyring_variable(), **first_key, **variables}
    command = [sys.executable, str(script)] if before else preloaded_code(script.read_text())
    ran = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "ready, and stopped again" in ran.stdout
    lines = ran.stderr.splitlines()
    ends = {"started", "stopped"}
    assert {json.loads(line)["event"] for line in lines} >= ends
    return [line for line in lines if json.loads(line)["event"] not in ends]


def test_the_standard_variables_switch_it_on(dsn: str, tmp_path: Path) -> None:
    """As `offerlog serve` runs: spans go to the collector, and log lines say which trace is theirs."""
    collector = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    try:
        lines = serve_check(
            dsn,
            tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_SERVICE_NAME="shop-offers",
            OFFERLOG_LOG_LEVEL="debug",
        )
    finally:
        collector.shutdown()
        finish(thread)
        collector.server_close()
    assert {path for path, _ in Collector.taken} == {"/v1/traces"}
    resources = [one for _, one_request in Collector.taken for one in one_request.resource_spans]
    service = {one.key: one.value.string_value for one in resources[0].resource.attributes}
    assert service["service.name"] == "shop-offers"
    sent = [span for one in resources for scope in one.scope_spans for span in scope.spans]
    ready = [json.loads(line) for line in lines if '"/readyz"' in line]
    assert "GET /readyz" in {span.name for span in sent}
    assert {line["trace_id"] for line in ready} <= {span.trace_id.hex() for span in sent}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_otherwise_none_of_it_is_loaded(dsn: str, tmp_path: Path, variables: dict[str, str]) -> None:
    """Nothing asks for traces, or something forbids them."""
    after = "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')]"
    assert serve_check(dsn, tmp_path, after=after, **variables) == []


def test_without_the_packages_it_serves_and_says_so(dsn: str, tmp_path: Path) -> None:
    """One warning, where traces are asked for; every other module can be imported."""
    before = "sys.modules['opentelemetry.sdk'] = sys.modules['opentelemetry.exporter'] = None"
    (line,) = serve_check(dsn, tmp_path, before, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert json.loads(line)["level"] == "warning"
    assert "extra otel" in json.loads(line)["event"]
    script = (
        "import importlib, pkgutil, sys\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "import offerlog_application, offerlog_infrastructure\n"
        "for package in (offerlog_application, offerlog_infrastructure):\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if found.name.rpartition('.')[2] not in {'tracing', 'traced_requests'}:\n"
        "            importlib.import_module(found.name)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
