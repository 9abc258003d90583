"""The example shop in Chromium: every way an offer can go is reported, and nobody is invited again."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Route
from server import ACTION_MAP, ShopSettings, create_shop

import offerlog_client
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import OpenStore
from offerlog_infrastructure.http.server.server import listen
from support.command_line import COMMAND_ENTRY
from support.http_site import open_on
from support.keyrings import keyring_variable
from support.pages.served import Served
from support.pages.shop import eventually
from support.preloaded import preloaded, preloaded_code
from support.processes import LimitedProcess, finish

pytest_plugins = ["support.pages.fixtures"]

CLIENT = Path(offerlog_client.__file__).parents[1]
SHOP = CLIENT.parents[1] / "examples" / "shop"


@contextmanager
def running(settings: ShopSettings, listening: socket.socket) -> Iterator[None]:
    """The shop, in a thread."""
    server = uvicorn.Server(
        uvicorn.Config(create_shop(settings), log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        finish(thread)


def states_of(tab: Page, log: Offerlog) -> list[str]:
    """What the log holds of the visitor of this page, once the service has answered for all of it."""
    waiting = "Object.keys(localStorage).some((name) => name.startsWith('offerlog/'))"
    eventually(tab, lambda: not tab.evaluate(waiting))
    cookies = {one.get("name"): one.get("value") for one in tab.context.cookies()}
    history = log.history(customer_id=str(cookies["shopper"]), action_map_id=ACTION_MAP)
    return [one.state.value for one in history.events]


def come_again(tab: Page) -> None:
    """Load the basket anew, and see that the service blocks the offer and the page does not invite."""
    with tab.expect_response("**/v1/offers") as asked:
        tab.goto(tab.url)
    assert asked.value.json()["reason"] == "terminal_state"
    tab.get_by_text("has been invited before").wait_for()
    assert not tab.get_by_text("May we help you").is_visible()


def test_every_way_of_an_offer(chromium: Browser, served_store: tuple[Served, OpenStore]) -> None:
    """By keyboard alone, on a narrow screen, to a chat; then all other ways, each by a new visitor."""
    served, store = served_store
    listening = listen("127.0.0.1", 0)
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with open_on(store, f"shop-{uuid4().hex}") as log:
        widget, page = (
            log.keys.create(log.organization, role, "shop", [origin])[1] for role in (Role.WIDGET, Role.PAGE)
        )
        settings = ShopSettings(f"http://127.0.0.1:{served.port}", widget, page, 30, agent_seconds=0.1)
        with running(settings, listening):
            context = chromium.new_context(viewport={"width": 320, "height": 640})
            tab = context.new_page()
            complaints: list[str] = []
            context.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
            tab.on("pageerror", lambda error: complaints.append(str(error)))
            _chat_by_keyboard(tab, origin, log)
            for way, expected in WAYS.items():
                if way == "wait":
                    tab.clock.install()
                tab.get_by_role("button", name="Come as a new visitor").click()
                tab.get_by_text("May we help you").wait_for()
                WALKS[way](tab)
                assert states_of(tab, log) == expected, way
            context.close()
    assert not complaints


def _chat_by_keyboard(tab: Page, origin: str, log: Offerlog) -> None:
    tab.goto(origin)
    tab.locator("#note").focus()
    tab.get_by_text("May we help you").wait_for()
    tab.keyboard.type("Please ring ")  # the invitation has not taken the focus: nobody accepts by typing
    assert tab.locator("#note").input_value() == "Please ring "
    assert tab.evaluate("document.documentElement.scrollWidth") == 320
    for _ in range(8):
        tab.keyboard.press("Shift+Tab")
        if tab.evaluate("document.activeElement.id") == "accept":
            break
    tab.keyboard.press("Enter")
    tab.keyboard.type("Where is my cup?")  # the form has the focus now
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.get_by_text("Robin has joined").wait_for()
    tab.keyboard.type("Hello?")
    tab.keyboard.press("Enter")
    tab.get_by_text("You wrote “Hello?”").wait_for()
    assert states_of(tab, log) == ["offered", "accepted", "started", "engaged"]
    come_again(tab)


def _abandon(tab: Page) -> None:
    def hold(_: Route) -> None:
        """No agent comes."""

    tab.route("**/chats/*", hold)
    tab.get_by_role("button", name="Yes, please").click()
    tab.get_by_label("Your question").fill("Where is my cup?")
    tab.get_by_role("button", name="Start the chat").click()
    tab.get_by_role("button", name="Close the chat").click()
    tab.unroute("**/chats/*")


def _escape(tab: Page) -> None:
    tab.get_by_role("button", name="No, thank you").focus()
    tab.keyboard.press("Escape")
    assert tab.evaluate("document.activeElement.id") == "basket-title"


def _wait(tab: Page) -> None:
    tab.clock.fast_forward(31_000)
    tab.get_by_text("May we help you").wait_for(state="hidden")


def _leave(tab: Page) -> None:
    tab.get_by_role("link", name="Products").click()
    tab.get_by_text("May we help you").wait_for(state="hidden")
    tab.get_by_role("link", name="Basket").click()


WAYS = {
    "close the chat before an agent": ["offered", "accepted", "started", "abandoned"],
    "press Escape": ["offered", "rejected"],
    "leave the view": ["offered", "ignored"],
    "wait": ["offered", "timedout"],
}
WALKS = {
    "close the chat before an agent": _abandon,
    "press Escape": _escape,
    "leave the view": _leave,
    "wait": _wait,
}


def test_it_is_run_by_one_command(dsn: str) -> None:
    """It prints the addresses, makes its keys, and ends cleanly with its service."""
    environment = {"OFFERLOG_DATABASE_URL": dsn, "PATH": os.environ["PATH"], **keyring_variable()}
    code = (
        f"import sys; sys.path[:0] = {[str(SHOP), str(CLIENT)]}\n"
        f"import run; run.COMMAND = {preloaded(COMMAND_ENTRY)}; run.main()"
    )
    with LimitedProcess(
        [*preloaded_code(code), "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
    ) as shop:
        assert shop.stdout is not None
        lines = iter(shop.stdout.readline, "")
        address = next(line for line in lines if line.startswith("The shop: ")).split()[2]
        dashboard = next(lines).split()[2]
        with httpx.Client(base_url=address) as visitor:
            assert "A small shop" in visitor.get("/").text
            assert visitor.get("/visitor").json()["customerId"] == visitor.cookies["shopper"]
        assert httpx.get(f"{dashboard}healthz").status_code == 200
        shop.send_signal(signal.SIGTERM)
        assert list(lines) == ["Stopped.\n"]
        assert shop.wait(30) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{dashboard}healthz")


def test_a_chat_that_nobody_follows_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or pages that are left at once would keep all agents busy for ever."""
    # given
    monkeypatch.setattr("server._MAX_CHATS", 1)
    monkeypatch.setattr("server._FOLLOW_SECONDS", 0.2)
    question, cookies = {"text": "Does it fit?"}, {"shopper": str(uuid4())}
    with listen("127.0.0.1", 0) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        shop = ShopSettings(address, "", "", agent_seconds=0.0)
        with running(shop, listening), httpx.Client(base_url=address, cookies=cookies, timeout=10) as page:
            # when
            began = [page.post("/chats", json=question).status_code for _ in range(2)]
            time.sleep(0.4)
            chat = page.post("/chats", json=question).json()["id"]
            # then
            assert began == [201, 503]
            with page.stream("GET", f"/chats/{chat}") as answer:
                lines = answer.iter_lines()
                assert next(lines) == "event: agent"
                time.sleep(0.4)
                assert page.post("/chats", json=question).status_code == 503, "this one is followed"
                assert page.get(f"/chats/{chat}").status_code == 404, "by one page"
