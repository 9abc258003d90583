"""The service's log: JSON lines that lead from a request to its signals, and name nobody."""

import io
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from offerlog_application.ports.keys import Role
from offerlog_application.ports.read_models import KeptSignal
from offerlog_application.recording.batches import Batch
from offerlog_domain.identity import OrganizationKey
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.cli.settings_list import mask_password
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.http.openapi import examples
from offerlog_infrastructure.http.responses import pages
from offerlog_infrastructure.observability.log_output import LogFormat, log_to_stderr
from support.command_line import COMMAND_ENTRY
from support.http_site import Site
from support.keyrings import keyring_variable
from support.preloaded import preloaded
from support.processes import LimitedProcess, finish

pytest_plugins = ("support.http_site",)

WHO = "visitor-whom-nobody-names"
EVENT, ACTION = "e0000000-0000-4000-8000-000000000001", "a0000000-0000-4000-8000-000000000001"
SIGNAL = examples.SIGNAL | {"customerId": WHO, "eventId": EVENT, "actionId": ACTION}
ROWS = "DO $$ BEGIN RAISE 'no room' USING DETAIL = 'Failing row contains (visitor-whom-nobody-names)'; END $$"

LATE = "no time\nCONTEXT:  visitor-whom-nobody-names"
LOGGERS = ("offerlog_application", "offerlog_infrastructure", "uvicorn", "httpx")

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Lines]]:
    """Begins the log of this process at a level, and gives what it holds so far."""
    root, written = logging.getLogger(), io.StringIO()
    loggers = [root, *map(logging.getLogger, LOGGERS)]
    before, handlers = [one.level for one in loggers], root.handlers[:]
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the tests' own client

    def begin(level: str) -> Lines:
        monkeypatch.setattr(sys, "stderr", written)
        log_to_stderr(level)
        return lambda: [json.loads(line) for line in written.getvalue().splitlines()]

    yield begin
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    for one, level in zip(loggers, before, strict=True):
        one.setLevel(level)


def soon(lines: Lines, **fields: Any) -> dict[str, Any]:
    """The first line that says this, as soon as there is one."""
    for _ in range(500):
        for line in lines():
            if fields.items() <= line.items():
                return line
        time.sleep(0.01)
    raise AssertionError((fields, lines()))


def test_a_request_leads_to_its_signals(
    site: Site, admin: httpx.Client, journal: Callable[[str], Lines]
) -> None:
    """By one id on all their lines, which the caller has chosen or gets back."""
    lines = journal("debug")
    mine = {"X-Request-Id": "order-4711.a"}
    answer = admin.post("/v1/signals", json=[SIGNAL, {"eventId": EVENT.upper()}, 7], headers=mine)
    assert answer.headers["x-request-id"] == "order-4711.a"
    soon(lines, event="request", request_id="order-4711.a")
    first, second, third, request = lines()
    ids = {"event_id": EVENT, "action_id": ACTION}
    assert first.items() >= {"event": "signal", "outcome": "recorded", "level": "debug", **ids}.items()
    assert second.items() >= {"reason": "malformed", "field": "actionId", "event_id": EVENT}.items()
    assert third.items() >= {"reason": "malformed", "event_id": None, "level": "info"}.items()
    assert {line["request_id"] for line in lines()} == {"order-4711.a"}
    shown = {name: request[name] for name in ("method", "path", "status", "level")}
    assert shown == {"method": "POST", "path": "/v1/signals", "status": 200, "level": "debug"}
    assert 0 < request["duration_ms"] < 10_000
    assert httpx.get(f"{site.url}/healthz").headers["x-request-id"] != "order-4711.a"


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        ("1", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("a b", False),
        ('a"b', False),
        ("a\u00e9", False),
        ("someone@example.com", False),
        ("ofl_admin_0a1b_secret", False),
        ("x-ofl_admin_0a1b_secret", False),
    ],
)
def test_an_id_of_the_callers_own_is_taken_if_it_is_sane(site: Site, sent: str, taken: bool) -> None:  # noqa: FBT001 - pytest's way
    """Short, plain, and no key; otherwise a new one is made."""
    answer = httpx.get(f"{site.url}/nothing", headers={b"X-Request-Id": sent.encode("latin-1")})
    given = answer.headers.get_list("x-request-id")
    assert (given == [sent]) is taken
    assert len(given) == 1
    assert taken or len(given[0]) == 32


def test_what_is_asked_all_day_has_no_line_but_its_refusals_have(
    admin: httpx.Client, journal: Callable[[str], Lines]
) -> None:
    """At the level that is usual; what was wrong is told, by its reason."""
    lines = journal("info")
    admin.post("/v1/signals", json=SIGNAL)
    admin.get(f"/v1/visitors/{WHO}/suppressions")
    admin.get("/healthz")
    assert lines() == []
    admin.post("/v1/signals", json=SIGNAL | {"actionState": "nonsense"})
    admin.post("/v1/signals", content=b"")
    admin.get(f"/v1/visitors/{WHO}/action-maps/{examples.SIGNAL['actionMapId']}/history")
    soon(lines, path="/v1/visitors/{customer_id}/action-maps/{action_map_id}/history", status=200)
    assert [(line["event"], line.get("status"), line.get("reason")) for line in lines()] == [
        ("signal", None, "malformed"),
        ("request", 400, None),
        ("request", 200, None),
    ]


def test_a_flood_of_refused_signals_is_told_in_bounds(
    admin: httpx.Client, journal: Callable[[str], Lines]
) -> None:
    """The first hundred by name, the others by their number."""
    lines = journal("info")
    admin.post("/v1/signals", json=[{"eventId": EVENT}] * 250)
    assert len(lines()) == 101
    assert lines()[-1]["signals"] == 150


def test_an_error_of_the_service_itself_is_one_line_and_a_whole_answer(
    own_site: Site,
    own_admin: httpx.Client,
    journal: Callable[[str], Lines],
    monkeypatch: pytest.MonkeyPatch,
    dsn: str,
) -> None:
    """With its traceback, without the rows that the store quotes; the answer has every header."""

    def broken(**_: object) -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute(ROWS)

    monkeypatch.setattr(own_site.service, "history", broken)
    lines = journal("debug")
    path = f"/v1/visitors/{WHO}/action-maps/{examples.SIGNAL['actionMapId']}/history"
    answer = own_admin.get(path)
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    assert answer.headers["x-content-type-options"] == "nosniff"
    line = soon(lines, level="error", status=500)
    assert lines() == [line]
    assert answer.headers["x-request-id"] == line["request_id"]
    assert "RaiseException: no room" in line["exception"]
    assert WHO not in json.dumps(line)


def test_an_answer_that_breaks_off_is_told(
    own_site: Site, own_admin: httpx.Client, journal: Callable[[str], Lines], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status was sent by then, so the line's level says that it failed."""

    def breaking_off(**_: object) -> Iterator[KeptSignal]:
        yield KeptSignal(datetime.now(UTC), Reason.MALFORMED, None, None, b"x", 1)
        raise LookupError

    monkeypatch.setattr(pages, "_PIECE_BYTES", 1)  # the first row is sent before the second one is read

    monkeypatch.setattr(own_site.service, "refusals", breaking_off)
    lines = journal("info")
    with pytest.raises(httpx.RemoteProtocolError):
        own_admin.get("/v1/refusals", headers={"Accept": "application/x-ndjson"})
    line = soon(lines, event="request", path="/v1/refusals", status=200, level="error")
    assert "LookupError" in line["exception"]


def test_a_level_that_is_none_is_a_wrong_setting() -> None:
    """Told before anything is opened."""
    command = [*preloaded(COMMAND_ENTRY), "serve"]
    environment = {"OFFERLOG_LOG_LEVEL": "loud", "PATH": ""}
    ran = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=30)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "the environment variable OFFERLOG_LOG_LEVEL: Input should be 'debug'" in ran.stderr


def test_threads_log_as_requests_do(
    own_site: Site, journal: Callable[[str], Lines], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The projector's trouble, that of the deadlines, and a thread's end that nobody expected."""

    def broken(cursor: psycopg.Cursor[Any], *_: object) -> None:
        cursor.execute(ROWS)

    def late(*_: object, **__: object) -> None:
        raise OSError(LATE)

    lines = journal("info")
    monkeypatch.setattr("offerlog_infrastructure.postgres.projections.projector.apply_page", broken)
    monkeypatch.setattr("offerlog_application.recording.deadline_worker._EXPIRY_SECONDS", 0.01)
    monkeypatch.setattr(own_site.service._expiry, "expire", late)
    own_site.service.record([json.dumps(SIGNAL)])
    message = "the projector stopped and will try again: no room"
    soon(
        lines, logger="offerlog_infrastructure.postgres.projections.projector", event=message, level="warning"
    )
    own_site.service.keep_deadlines()
    message = "deadlines could not be kept and will be tried again: no time"
    soon(lines, logger="offerlog_application.schedule.periodic_thread", event=message, level="warning")
    thread = threading.Thread(target=late, name="a-thread")
    thread.start()
    finish(thread)
    ended = soon(lines, event="a-thread ended with an error", level="critical")
    assert "OSError" in ended["exception"]
    assert WHO not in json.dumps(lines())


@pytest.mark.parametrize(
    ("signal", "found"),
    [
        ({"eventId": EVENT}, EVENT),
        ({"id": EVENT, "eventType": "com.genesys.journey.WebActionEvent"}, EVENT),
        ({"id": EVENT}, None),
        ({"eventId": WHO}, None),
        ({"eventId": 7}, None),
        ([], None),
    ],
)
def test_a_signal_is_named_by_its_own_id_alone(signal: object, found: str | None) -> None:
    """In either wire form, and only where it is a UUID; no signal at all has none."""
    batch = Batch([json.dumps(signal).encode(), b"{no"], OrganizationKey("acme", bytes(32)))
    assert [outcome.event_id for outcome in batch.receipt([], None).outcomes] == [found, None]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_people_get_lines_and_programs_get_json(
    monkeypatch: pytest.MonkeyPatch, journal: Callable[[str], Lines], *, is_terminal: bool
) -> None:
    """Unless they say otherwise; colours are for a terminal, and control characters never get there."""
    journal("info")  # restores what is changed below

    def written(form: LogFormat, **variables: str) -> str:
        out = io.StringIO()
        monkeypatch.setattr(out, "isatty", lambda: is_terminal)
        monkeypatch.setattr(sys, "stderr", out)
        monkeypatch.setenv("NO_COLOR", variables.get("NO_COLOR", ""))
        log_to_stderr("info", form)
        try:
            int(LATE)
        except ValueError:
            logging.getLogger(LOGGERS[0]).exception("what \x1b[2J happened", extra={"field": "\x1b]0;"})
        return out.getvalue()

    assert json.loads(written("json"))["field"] == "\x1b]0;"
    pretty = written("pretty")
    assert "happened" in pretty
    assert "ValueError: invalid literal" in pretty
    assert pretty.count("\n") > 1
    assert ("\x1b[2m" in pretty) is is_terminal
    assert "\x1b[2J" not in pretty
    assert "\x1b]0;" not in pretty
    assert "\x1b" not in written("pretty", NO_COLOR="1")
    assert written("auto", NO_COLOR="1").startswith("{") is not is_terminal


def test_no_line_of_the_whole_service_names_a_visitor_or_a_key(dsn: str, tmp_path: Path) -> None:
    """As `offerlog serve` runs, at `debug`, with a visitor and keys wherever a request can hold them."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        keys = [service.keys.create("default", role, "")[1] for role in (Role.ADMIN, Role.WIDGET)]
    command = [*preloaded(COMMAND_ENTRY), "serve", "--port", "0"]
    variables = {
        "OFFERLOG_DATABASE_URL": dsn,
        "OFFERLOG_LOG_LEVEL": "Debug",
        "PATH": "",
        **keyring_variable(),
    }
    log = tmp_path / "log"
    with (
        log.open("w") as file,
        LimitedProcess(command, env=variables, stdout=subprocess.PIPE, stderr=file, text=True) as serving,
    ):
        assert serving.stdout is not None
        url = serving.stdout.readline().split()[2]
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {keys[0]}"}) as client:
            answers = _everywhere(client, keys[1])
        serving.terminate()
        assert serving.wait(30) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"started", "request", "signal", "stopped"} == {line["event"] for line in lines}
    assert (lines[0]["event"], lines[-1]["event"]) == ("started", "stopped")
    assert lines[0]["address"] == lines[-1]["address"] == url
    assert lines[0].items() >= {"organization": "default", "keeps_deadlines": True, "projects": True}.items()
    assert (lines[0]["version"], lines[0]["metrics_port"]) == (version("offerlog"), None)
    assert lines[0]["store"] == mask_password(dsn)
    assert [line["status"] for line in lines if line["event"] == "request"] == answers
    text = log.read_text().lower()
    for secret in (WHO, "whom", "ofl_", *(key.split("_", 3)[3].lower() for key in keys)):
        assert secret not in text, secret


def _everywhere(client: httpx.Client, widget: str) -> list[int]:
    """Name the visitor and the keys in every place; returns the statuses, in order."""
    offer = examples.OFFER | {"customerId": WHO}
    beacon = json.dumps({"key": widget}) + "\n" + json.dumps(SIGNAL | {"customerId": 7 * [WHO]})
    visitor = f"/v1/visitors/{WHO}"
    requests: list[tuple[str, str, dict[str, Any]]] = [
        (
            "POST",
            "/v1/signals",
            {"json": [SIGNAL, SIGNAL | {"eventId": WHO}, dict.fromkeys(SIGNAL, WHO), WHO]},
        ),
        ("POST", "/v1/signals", {"content": beacon, "headers": {"Content-Type": "text/plain"}}),
        ("POST", "/v1/signals", {"content": WHO, "headers": {"Content-Type": f"text/{WHO}"}}),
        ("POST", "/v1/signals", {"json": SIGNAL, "headers": {"X-Request-Id": widget}}),
        ("POST", "/v1/offers", {"json": offer}),
        ("POST", "/v1/offers", {"json": offer | {"actionMapId": WHO}}),
        ("POST", "/v1/suppressions:batch", {"json": {"visitors": [{"customerId": WHO}]}}),
        ("GET", f"{visitor}/suppressions", {}),
        ("GET", f"{visitor}/action-maps/{WHO}/eligibility", {}),
        ("GET", f"{visitor}/action-maps/{SIGNAL['actionMapId']}/history", {"params": {"version": WHO}}),
        ("GET", f"{visitor}/nothing", {}),
        ("DELETE", f"{visitor}/suppressions", {}),
        ("GET", f"/v1/refusals/?key={widget}", {}),
        ("GET", "/v1/refusals", {"params": {"since": WHO, "cursor": widget}}),
        ("GET", f"/static/{WHO}", {}),
        ("GET", "/v1/projections", {"headers": {"Authorization": f"Bearer {widget}"}}),
        ("GET", "/v1/projections", {"headers": {"Authorization": f"Bearer {widget}{WHO}"}}),
        ("POST", "/login", {"data": {"key": widget + WHO}, "headers": {"Origin": str(client.base_url)}}),
    ]
    return [client.request(method, path, **options).status_code for method, path, options in requests]
