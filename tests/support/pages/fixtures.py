"""The browser, the shop and the service: a plug-in that the tests of the browser module name."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import open_offerlog
from support.pages.gateway import Gateway
from support.pages.served import Served
from support.pages.shop import Shop
from support.pages.site import Site

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; one a module, a profile a test."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def shop(chromium: Browser, dsn: str) -> Iterator[Shop]:
    """A shop that nobody has been to, and a service that has heard of nobody."""
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False) as log,
        Gateway().running() as gateway,
        Site(
            {"service": gateway.url, "key": log.keys.create("default", Role.WIDGET, "")[1]}
        ).running() as site,
    ):
        served = Served(dsn)
        served.start()
        gateway.upstream = served.port
        context = chromium.new_context()
        made = Shop(site, gateway, served, log, context)
        context.on("console", lambda message: made.console.append(message.text))
        try:
            yield made
            assert not any("shopper" in line for line in made.console)  # error trackers collect the console
        finally:
            context.close()
            gateway.behaviour = None
            served.stop()
