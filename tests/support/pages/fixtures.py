"""The browser, the shop and the service: a plug-in that the tests of the browser module name."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, sync_playwright

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import OpenStore
from support.http_site import open_on
from support.keyrings import run_keyring
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


@contextmanager
def launched() -> Iterator[Browser]:
    """Chromium without a window: its headless shell, where it is installed, takes a quarter of the time."""
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; one a module, a profile a test."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def served_store(module_dsn: str) -> Iterator[tuple[Served, OpenStore]]:
    """The service that the tests of a module share, and its store, open in this process."""
    with OpenStore(None, module_dsn, keyring=run_keyring()) as store:
        served = Served(module_dsn)
        served.start()
        try:
            yield served, store
        finally:
            served.stop()


@pytest.fixture
def shop(chromium: Browser, served_store: tuple[Served, OpenStore]) -> Iterator[Shop]:
    """A shop that nobody has been to, with an organization in which nothing has happened."""
    served, store = served_store
    organization = f"shop-{uuid4().hex}"
    with (
        open_on(store, organization) as log,
        Gateway(served.port).running() as gateway,
        Site(
            {"service": gateway.url, "key": log.keys.create(organization, Role.WIDGET, "")[1]}
        ).running() as site,
    ):
        context = chromium.new_context()
        made = Shop(site, gateway, served, log, context)
        context.on("console", lambda message: made.console.append(message.text))
        try:
            yield made
            assert not any("shopper" in line for line in made.console)  # error trackers collect the console
        finally:
            context.close()
            gateway.behaviour = None
