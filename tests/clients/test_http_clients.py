"""The Python and the TypeScript client against the real service: what they ask, repeat and raise."""

import ast
import asyncio
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

import offerlog_client
from offerlog_application.ports.keys import Role
from offerlog_client import AsyncOfferlogClient, OfferlogClient, ServiceError, Signal, visitor_token
from support.http_site import Site

pytest_plugins = ("support.http_site",)

TYPESCRIPT = Path(offerlog_client.__file__).parents[2] / "typescript"
COMPILER = TYPESCRIPT / "node_modules" / ".bin" / "tsc"
MAP, OTHER_MAP, SESSION = (str(uuid.uuid4()) for _ in range(3))


class Fragile(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A network that fails as the test says, one way for each request, and then works."""

    def __init__(self, *failures: str | int) -> None:
        self.failures = list(failures)
        self.requests = 0
        self._real = httpx.HTTPTransport()
        self._real_async = httpx.AsyncHTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Lose the request or its answer, or answer with a status in place of the service."""
        failed, is_lost = self._fail()
        answer = failed or self._real.handle_request(request)
        if is_lost:
            answer.read()
            raise httpx.ReadTimeout("no answer")
        return answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As `handle_request`."""
        failed, is_lost = self._fail()
        answer = failed or await self._real_async.handle_async_request(request)
        if is_lost:
            await answer.aread()
            raise httpx.ReadTimeout("no answer")
        return answer

    def _fail(self) -> tuple[httpx.Response | None, bool]:
        self.requests += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure == "request lost":
            raise httpx.ConnectError("refused")
        if isinstance(failure, int):
            page = httpx.Response(failure, headers={"Retry-After": "0"}, text="<html>of a proxy</html>")
            return page, False
        return None, failure == "answer lost"

    def close(self) -> None:
        """Close the real connections."""
        self._real.close()

    async def aclose(self) -> None:
        """Close the real connections."""
        await self._real_async.aclose()


class Awaited:
    """The client of asyncio, called as the client for threads: each call waits for the whole answer."""

    def __init__(self, *of_client: Any, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncOfferlogClient(*of_client, **options)
        self._http = self._client._http

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def collect(answer: AsyncIterator[Any]) -> list[Any]:
            return [one async for one in answer]

        def call(*of_method: Any, **options: Any) -> Any:
            answer = getattr(self._client, name)(*of_method, **options)
            return self._runner.run(collect(answer) if isinstance(answer, AsyncIterator) else answer)

        return call


@pytest.fixture(params=[OfferlogClient, Awaited])
def client(shared_site: Site, request: pytest.FixtureRequest) -> Callable[..., OfferlogClient]:
    """Make a client with a key of a role, over a network that fails in these ways."""

    def make(role: Role, *failures: str | int, patience: float = 30.0) -> OfferlogClient:
        key = shared_site.key(role)
        made: OfferlogClient = request.param(
            shared_site.url, key, transport=Fragile(*failures), patience=patience
        )
        return made

    return make


def signal(visitor: int, state: str, action: str) -> Signal:
    """A signal of a visitor."""
    fields = {"actionId": action, "actionState": state, "actionMapId": MAP, "sessionId": SESSION}
    return {**fields, "customerId": f"visitor-{visitor}"}  # type: ignore[typeddict-item] # the state is a parameter


def test_everything_that_a_program_asks(
    client: Callable[..., OfferlogClient], shared_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeated until it is answered, recorded once; lists whole, whatever the size of their pages."""
    monkeypatch.setattr("offerlog_client.requests._FIRST_DELAY", 0.01)
    for module in ("client", "async_client"):
        monkeypatch.setattr(f"offerlog_client.{module}._PAGE", 2)
        monkeypatch.setattr(f"offerlog_client.{module}._BATCH", 4)
    # given
    actions = [str(uuid.uuid4()) for _ in range(5)]
    signals = [signal(n, state, one) for n, one in enumerate(actions) for state in ("offered", "rejected")]
    # when
    with client(Role.SERVICE, "answer lost", "request lost", 503, 429, "answer lost") as service:
        outcomes = list(service.record(iter([*signals, signal(9, "offered", "no-uuid")])))
        offered = service.offer(
            customer_id="v w/ü", action_map_id=OTHER_MAP, session_id=SESSION, timeout_seconds=45
        )
        blocked = service.offer(customer_id="v w/ü", action_map_id=OTHER_MAP, session_id=SESSION)
        eligibility = service.eligibility(customer_id="v w/ü", action_map_id=OTHER_MAP)
        shared_site.service.catch_up()
        many = service.suppressions_of(["visitor-0", "nobody"])
        mine = service.suppressions("visitor-0")
        suppressed = list(service.suppressed_visitors(MAP))
        history = service.history(customer_id="visitor-0", action_map_id=MAP)
        earlier = service.history(customer_id="visitor-0", action_map_id=MAP, version=1)
    # then
    assert [one["outcome"] for one in outcomes] == ["duplicate"] * 4 + ["recorded"] * 6 + ["refused"]
    assert (offered["decision"], blocked["reason"]) == ("offered", "already_open")
    assert blocked["blocking_action_id"] == offered["action_id"] == eligibility["action_id"]
    assert [len(one["suppressions"]) for one in many["visitors"]] == [1, 0]
    assert mine["suppressions"] == many["visitors"][0]["suppressions"]
    assert {one["action_id"] for one in suppressed} == set(actions)
    assert [one["event"] for one in history["events"]] == ["offered", "rejected"]
    assert earlier["state"] == "offered"
    # when
    with client(Role.REPORTER) as reporter:
        everything = reporter.performance(view="all", action_maps=[MAP])
        report = reporter.performance(by="total", view="full", action_maps=[MAP])
        maps = [one["action_map_id"] for one in reporter.action_maps()]
        timeline = [one["kind"] for one in reporter.timeline("visitor-4")]
        refusals = list(reporter.refusals(reason="malformed"))
        counts = reporter.refusal_counts()
    # then
    assert report["rows"][0]["metrics"]["nWebActionsRejected"] == 5
    assert everything["rows"][0]["metrics"]["nWebActionsQualified"] == 0
    assert set(maps) == {MAP, OTHER_MAP}
    assert timeline == ["offered", "rejected"]
    assert [one["field"] for one in refusals] == ["actionId"]
    assert counts["refusals"] == 1


def test_a_policy_is_set_and_shown(client: Callable[..., OfferlogClient]) -> None:
    """In place of the one before; without any state, none is left."""
    action_map = str(uuid.uuid4())
    with client(Role.ADMIN, "answer lost") as admin:
        made = admin.set_policy(action_map, {"ignored": "30d", "rejected": 3_600})
        assert made["suppress_for"] == {"ignored": 30 * 86_400, "rejected": 3_600}
        assert admin.policy(action_map) == made
        assert admin.set_policy(action_map, {})["suppress_for"] == {}


def test_what_analysts_ask(client: Callable[..., OfferlogClient], shared_site: Site) -> None:
    """Reports of a range, the newest visitors, and all maps of one."""
    # given
    actions = [str(uuid.uuid4()) for _ in range(3)]
    with client(Role.SERVICE) as service:
        list(service.record([signal(n, "offered", one) for n, one in enumerate(actions)]))
        list(service.record([signal(0, "ignored", actions[0])]))
        service.offer(customer_id="visitor-0", action_map_id=MAP, session_id=SESSION)
        shared_site.service.catch_up()
    # when
    asked: dict[str, Any] = {
        "start": "today",
        "end": "tomorrow",
        "action_maps": [MAP],
        "media_type": "webchat",
    }
    with client(Role.REPORTER) as reporter:
        funnel, times, blocked = (
            reporter.funnel(**asked),
            reporter.times(**asked),
            reporter.blocked_offers(**asked),
        )
        by_map = reporter.action_maps_report(**asked, by_version=True, count_by="visitors")
        last = reporter.performance(last="7d")
        visitors = [one["customer_id"] for one in reporter.visitors()]
        assert [one["customer_id"] for one in reporter.visitors(media_type="webchat")] == visitors
        assert not list(reporter.visitors(media_type="contentOffer"))
        maps = [(one["action_map_id"], one["state"]) for one in reporter.visitor_offers("visitor-0")]
    # then
    assert (funnel["total"]["offered"], funnel["total"]["ends"]["ignored"]) == (3, 1)
    assert times["total"]["accepted"]["actions"] == 0
    assert blocked["total"]["blocked"] == 1
    assert [(row["action_map_id"], row["offered"]) for row in by_map["rows"]] == [(MAP, 3)]
    assert last["rows"] == []  # only whole days, and today is not over
    assert set(visitors) == {"visitor-0", "visitor-1", "visitor-2"}
    assert maps == [(MAP, "ignored")]


def test_what_administrators_do(client: Callable[..., OfferlogClient], shared_site: Site) -> None:
    """Keys, webhooks and subscriptions, up to the end of the organization."""
    with client(Role.ADMIN) as admin:
        # keys
        made = admin.create_key("reporter", name="BI", expires="90d")
        assert made["key"].startswith("ofl_")
        assert admin.revoke_key(made["id"])["revoked_at"]
        assert made["id"] in {one["id"] for one in admin.api_keys()}
        assert admin.keyring()[0]["current"]
        # webhooks
        hook = admin.create_webhook("https://shop.example/", types=["engaged"], action_maps=[MAP], after=0)
        place = hook["id"]
        assert admin.rotate_webhook(place, keep="12h")["secret"] != hook["secret"]
        assert admin.disable_webhook(place)["disabled_because"] == "operator"
        assert admin.enable_webhook(place, skip=True)["disabled_because"] is None
        assert admin.test_webhook(place)["delivered"] is False  # there is no such host
        assert (admin.webhook(place)["types"], admin.dead_letters(place)) == (["engaged"], [])
        assert admin.send_again(place) == 0
        with pytest.raises(ServiceError, match="no dead letter 7"):
            admin.send_again(place, position=7)
        assert [one["id"] for one in admin.webhooks()] == [place]
        admin.delete_webhook(place)
        assert admin.webhooks() == []
        # subscriptions
        assert admin.acknowledge("ware.house", "0")["cursor"] == "0"
        assert [one["name"] for one in admin.subscriptions()] == ["ware.house"]
        admin.delete_subscription("ware.house")
        with pytest.raises(ServiceError, match="there is no subscription 'nosuch'"):
            admin.delete_subscription("nosuch")
        # the organization
        assert list(admin.issued_reports()) == []
        with pytest.raises(ServiceError, match="it is not the name of the organization"):
            admin.delete_organization("another")
        assert admin.delete_organization(shared_site.organization)["organization"] == shared_site.organization


def test_what_must_not_be_repeated_is_sent_once(client: Callable[..., OfferlogClient]) -> None:
    """The caller looks what is there: a second key would be a key that nobody knows."""
    with client(Role.ADMIN, "answer lost") as admin:
        with pytest.raises(ServiceError, match="unreachable"):
            admin.create_key("reporter", name="lost")
        assert [one["name"] for one in admin.api_keys()].count("lost") == 1


def test_there_is_one_error(client: Callable[..., OfferlogClient]) -> None:
    """A problem of the service, the page of a proxy, no answer: what is final is raised at once."""
    with client(Role.REPORTER) as reporter:
        with pytest.raises(ServiceError, match="a key with the role service or admin is needed") as forbidden:
            reporter.offer(customer_id="v", action_map_id=MAP, session_id=SESSION)
        assert reporter._http._transport.requests == 1  # type: ignore[attr-defined] # it is the test's own
        with pytest.raises(ServiceError) as malformed:
            reporter.performance(zone="Atlantis")
    assert (forbidden.value.status, forbidden.value.kind, forbidden.value.is_temporary) == (
        403,
        "forbidden",
        False,
    )
    assert forbidden.value.request_id
    assert (malformed.value.kind, malformed.value.field) == ("malformed-request", "zone")
    with client(Role.SERVICE, 502, patience=0) as service, pytest.raises(ServiceError) as proxy:
        service.suppressions("v")
    assert (proxy.value.status, proxy.value.kind, proxy.value.retry_after) == (502, "unknown", 0)
    with (
        client(Role.SERVICE, "request lost", patience=0) as service,
        pytest.raises(ServiceError, match="unreachable: refused") as unreachable,
    ):
        service.suppressions("v")
    assert unreachable.value.is_temporary


def test_the_service_accepts_its_visitor_tokens(shared_site: Site) -> None:
    """For the visitor that the site names; another key, and a longer time, are mistakes of the site."""
    key = shared_site.key(Role.PAGE)
    asked = {"customerId": "v w/ü", "customerIdType": "email", "actionMapId": MAP, "sessionId": SESSION}
    token = visitor_token(key, "v w/ü", customer_id_type="email", seconds=86_400)
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.post(f"{shared_site.url}/v1/offers", json=asked, headers=headers).status_code == 201
    with pytest.raises(ValueError, match="a page key is needed"):
        visitor_token(shared_site.key(Role.WIDGET), "v")
    with pytest.raises(ValueError, match="at most a day"):
        visitor_token(key, "v", seconds=86_401)


def test_the_client_needs_no_part_of_offerlog() -> None:
    """It imports the standard library, httpx and itself."""
    folder = Path(offerlog_client.__file__).parent
    imported = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
    assert imported - sys.stdlib_module_names == {"httpx", "offerlog_client"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in the folder `test` of the client, compiled with it and the types of the module."""
    if not COMPILER.exists() or shutil.which("node") is None:
        pytest.skip("make typescript installs the compiler, where npm and Node.js are")
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "package.json").write_text('{"type": "module"}')
    run(COMPILER, "-p", TYPESCRIPT / "tsconfig.test.json", "--outDir", folder)
    return folder / "test" / "usage.js"


def run(*command: str | Path) -> str:
    """Run a command; return what it prints."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_same_in_typescript(program: Path, shared_site: Site) -> None:
    """Repeated until answered, recorded once; lists whole; one error; tokens that the service accepts."""
    keys = (shared_site.key(role) for role in (Role.SERVICE, Role.REPORTER, Role.PAGE, Role.ADMIN))
    found: dict[str, Any] = json.loads(run("node", program, shared_site.url, *keys))
    assert found.pop("outcomes") == ["duplicate"] * 4 + ["recorded"] * 6
    assert found.pop("decisions") == ["offered", "already_open", True, False]
    assert found.pop("failures") == [
        [403, "forbidden", None, False],
        [400, "malformed-request", "zone", False],
        [502, "unknown", None, True],
        [None, "unreachable", None, True],
    ]
    assert found == {
        "suppressed": 5,
        "many": [1, 0],
        "mine": 1,
        "history": ["offered", "rejected"],
        "earlier": "offered",
        "rejected": 5,
        "maps": 1,
        "timeline": ["offered", "rejected"],
        "refusals": 0,
        "counts": 0,
        "page": "offered",
        "funnel": 6,
        "versions": [[None, 6]],
        "analysis": [0, 1],
        "visitors": 6,
        "offersOfVisitor": ["rejected"],
        "keys": [True, True, True],
        "webhooks": [["engaged"], "operator", None, False, 0, 0, 1, 0],
        "subscriptions": ["0", 1, 0],
        "organization": ["malformed-request", 0, True],
    }
