"""What the browser module reports as offered has been seen: `loaded` is not `seen`."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page

from support.pages.fixtures import ARGUMENTS
from support.pages.shop import Shop, an_action, answered, eventually, report
from support.processes import LimitedProcess

pytest_plugins = ["support.pages.fixtures"]

_BROWSERS = 4
"""Number of browsers that are tried until one prerenders."""

HIDDEN = """
    const get = () => window.shown ?? "hidden";
    Object.defineProperty(document, "visibilityState", { get, configurable: true });
"""


@pytest.fixture
def action(shop: Shop) -> str:
    """The action that the page `invitation.html` invites to."""
    made = an_action()
    shop.site.values["action"] = made
    return made


def come_to_the_front(tab: Page) -> None:
    """What a browser does when the visitor turns to a background tab."""
    tab.evaluate("window.shown = 'visible'; document.dispatchEvent(new Event('visibilitychange'))")


@contextmanager
def unobserved(address: str, profile: Path) -> Iterator[None]:
    """Chromium at an address while the block runs; one that DevTools look into prerenders nothing."""
    command = [shutil.which("chromium") or "chromium", "--headless=new", *ARGUMENTS]
    options = [f"--user-data-dir={profile}", "--remote-debugging-port=0", address]
    quiet = subprocess.DEVNULL
    with LimitedProcess(
        [*command, *options], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    ) as browser:
        try:
            yield
        finally:
            os.killpg(browser.pid, signal.SIGKILL)


@contextmanager
def prerendered(shop: Shop, page: str, profiles: Path) -> Iterator[None]:
    """Chromium at a page, once the next is prerendered. One that is busy may not do so: another is tried."""
    with ExitStack() as held:
        for number in range(_BROWSERS):
            held.enter_context(unobserved(shop.site.url(page), profiles / str(number)))
            with suppress(TimeoutError):
                until(lambda: "saw-prerendering-true" in shop.site.asked, 60)
                break
            held.close()
        else:
            raise TimeoutError
        yield


def until(what: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something is the case.

    Raises:
        TimeoutError: It is not, after that time.
    """
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


@pytest.mark.time_limit(600)
def test_a_page_that_is_only_prerendered_reports_nothing(shop: Shop, action: str, tmp_path: Path) -> None:
    """Really prerendered, for longer than its invitation stands; both begin when the visitor comes."""
    asked = shop.site.asked
    with prerendered(shop, "landing.html#go", tmp_path):
        time.sleep(1.5)
        visited = time.time()
        shop.site.pages["go"] = ""
        until(lambda: "saw-activation" in asked)
        until(lambda: shop.recorded() == {action: ("offered", "timedout")})
    offered, timed_out = shop.log.history(customer_id="shopper", action_map_id=action).events
    assert offered.occurred_at.timestamp() > visited - 0.5
    assert (timed_out.occurred_at - offered.occurred_at).total_seconds() > 0.5


@pytest.mark.time_limit(600)
def test_a_prerendered_page_that_nobody_visits_sends_nothing(shop: Shop, action: str, tmp_path: Path) -> None:
    """However long it waits."""
    with prerendered(shop, "landing.html", tmp_path):
        time.sleep(3)
    assert shop.gateway.posts == []
    assert action not in shop.recorded()


def test_a_background_tab_reports_its_invitation_when_it_is_looked_at(shop: Shop, action: str) -> None:
    """The time-out runs from then on."""
    tab = shop.context.new_page()
    tab.add_init_script(HIDDEN)
    shop.go(tab, "invitation.html")
    tab.wait_for_timeout(1_500)
    assert tab.evaluate("heard") == []
    assert not shop.gateway.posts
    come_to_the_front(tab)
    tab.wait_for_function("heard.length === 2")
    answered(tab)
    assert shop.recorded() == {action: ("offered", "timedout")}


@pytest.mark.parametrize("state", ["ignored", "timedout"])
def test_an_invitation_that_nobody_saw_cannot_be_ignored(shop: Shop, action: str, state: str) -> None:
    """The page hears of it, and takes the invitation away; nothing is sent, then or later."""
    tab = shop.context.new_page()
    tab.add_init_script(HIDDEN)
    shop.go(tab, f"invitation.html?then={state}")
    assert tab.evaluate("heard") == [state]
    come_to_the_front(tab)
    tab.wait_for_timeout(300)
    assert tab.evaluate("[heard.length, log.queued]") == [1, 0]
    assert not shop.gateway.posts
    assert shop.recorded() == {}
    assert action


def test_an_error_behind_an_unseen_invitation_waits_with_it(shop: Shop, action: str) -> None:
    """In order."""
    tab = shop.context.new_page()
    tab.add_init_script(HIDDEN)
    shop.go(tab, "invitation.html?then=errored&timeoutSeconds=600")
    tab.wait_for_timeout(300)
    assert not shop.gateway.posts
    come_to_the_front(tab)
    answered(tab)
    assert shop.recorded() == {action: ("offered", "errored")}


def test_an_invitation_below_the_window_is_reported_when_it_is_scrolled_to(shop: Shop, action: str) -> None:
    """If the page says which element it is."""
    tab = shop.visit("invitation.html?element=invitation&timeoutSeconds=600")
    tab.wait_for_timeout(500)
    assert tab.evaluate("heard") == []
    tab.evaluate("document.getElementById('invitation').scrollIntoView()")
    tab.wait_for_function("heard.length === 1")
    answered(tab)
    assert shop.recorded() == {action: ("offered",)}


def test_a_hidden_frame_reports_its_invitation_when_it_is_shown(shop: Shop, action: str) -> None:
    """Whatever the tab around it says of being visible."""
    shop.site.pages["frame.html"] = (
        "<!doctype html><link rel=icon href='data:,'>"
        "<iframe src='invitation.html?timeoutSeconds=600' style='display: none'></iframe>"
    )
    tab = shop.context.new_page()
    tab.goto(shop.site.url("frame.html"))
    tab.wait_for_function("frames[0].log")
    tab.wait_for_timeout(500)
    assert tab.evaluate("frames[0].heard.length") == 0
    tab.evaluate("document.querySelector('iframe').style.display = ''")
    tab.wait_for_function("frames[0].heard.length === 1")
    tab.wait_for_function("frames[0].log.queued === 0")
    assert shop.recorded() == {action: ("offered",)}


def test_a_visitor_may_be_quicker_than_the_browser_says_what_is_seen(shop: Shop, action: str) -> None:
    """Who accepts an invitation has seen it."""
    tab = shop.visit("invitation.html?element=invitation&then=accepted")
    answered(tab)
    assert shop.recorded() == {action: ("offered", "accepted")}


def test_an_invitation_that_is_overdue_goes_when_a_frozen_page_comes_back(shop: Shop, action: str) -> None:
    """Timers stand still in a frozen page, or while the device sleeps; the clock goes on."""
    tab = shop.visit("invitation.html?timeoutSeconds=600")
    tab.evaluate(
        """() => {
            const now = Date.now;
            Date.now = () => now() + 599_000;
            dispatchEvent(new Event("pageshow"));
            window.early = heard.length;
            Date.now = () => now() + 601_000;
            dispatchEvent(new Event("pageshow"));
        }"""
    )
    assert tab.evaluate("[early, heard]") == [1, ["offered", "timedout"]]
    answered(tab)
    assert shop.recorded() == {action: ("offered", "timedout")}


def test_a_closed_log_forgets_what_nobody_saw(shop: Shop, action: str) -> None:
    """As it withdraws its time-outs."""
    tab = shop.context.new_page()
    tab.add_init_script(HIDDEN)
    shop.go(tab, "invitation.html")
    tab.evaluate("log.close()")
    come_to_the_front(tab)
    tab.wait_for_timeout(300)
    assert tab.evaluate("log.queued") == 0
    other = an_action()
    report(shop.visit(), {other: ("offered",)})
    eventually(tab, lambda: shop.recorded() == {other: ("offered",)})
    assert action
