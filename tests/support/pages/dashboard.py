"""A browser, and a dashboard page of somebody logged in: a plug-in that the tests of the dashboard name."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page

from offerlog_application.ports.keys import Role
from support.http_site import Site
from support.journeys import journeys
from support.pages.fixtures import launched


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    """A browser."""
    with launched() as browser:
        yield browser.new_context(timezone_id="Asia/Kathmandu", bypass_csp=False)


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Iterator[Page]:
    """A page of somebody logged in; whatever the console says against it fails the test."""
    site.service.wait(site.service.record([*journeys(70), b"no signal"]).position)
    context.clear_cookies()
    complaints: list[str] = []
    page = context.new_page()

    def hear(message: ConsoleMessage) -> None:
        # A question that cannot be answered, also for trouble of the store, and one still under way when the
        # session ends, are no faults.
        if message.type == "error" and not re.search(r"status of (40[01]|50[37])", message.text):
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(site.url)
    page.evaluate("localStorage.clear()")  # it keeps the zone of the test before
    page.get_by_label("Key of a reporter or an admin").fill(site.key(Role.REPORTER))
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Action Map Performance").wait_for()
    page.locator("#figures").wait_for()  # the form is filled by then
    yield page
    page.close()
    assert not complaints
