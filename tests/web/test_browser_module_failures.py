"""The browser module in Chromium when things go wrong: nothing is lost, doubled or tried for ever."""

import json
import re

import pytest

from support.pages.gateway import Canned, Fault
from support.pages.shop import (
    CHAT,
    Shop,
    answered,
    eventually,
    hide,
    posted,
    report,
    some,
)

pytest_plugins = ["support.pages.fixtures"]

FROM_ANYWHERE = ("Access-Control-Allow-Origin", "*")


@pytest.mark.parametrize("fault", list(Fault))
def test_a_page_that_is_left_in_the_middle_of_sending(shop: Shop, fault: Fault) -> None:
    """Whether or not the service has got the reports, the next page brings them to an end."""
    journeys = some()
    tab = shop.visit()
    shop.gateway.behaviour = fault
    report(tab, journeys)
    posted(shop)
    shop.go(tab)
    shop.gateway.behaviour = None
    answered(tab)
    assert shop.recorded() == journeys
    assert not shop.refusals()
    lines = [line for body in shop.gateway.posts for line in body.splitlines() if b"eventId" in line]
    assert len(lines) > len(set(lines)) == 12


def test_a_visitor_who_never_stays(shop: Shop) -> None:
    """Twenty pages, each left as soon as its invitation is shown, while the reports are under way."""
    journeys = some(20, ("offered", "ignored"))
    tab = shop.context.new_page()
    tab.goto(shop.site.url(f"walk.html#{','.join(journeys)}"))
    tab.wait_for_url(re.compile(r"/walk\.html\?0"))
    tab.wait_for_function("window.log")
    answered(tab)
    assert shop.recorded() == journeys
    assert not shop.refusals()


def test_the_last_page_sends_what_it_has_as_it_goes(shop: Shop) -> None:
    """By beacon, so that nothing is missing even if the visitor never comes back."""
    journeys = some()
    tab = shop.visit()
    tab.evaluate(
        """(ids) => addEventListener("pagehide", () => {
            for (const [id, states] of Object.entries(ids)) {
                states.forEach((state) => log.report(state, { actionId: id, actionMapId: id }));
            }
        })""",
        journeys,
    )
    tab.goto("about:blank")
    eventually(tab, lambda: shop.recorded() == journeys)
    assert json.loads(shop.gateway.posts[-1].splitlines()[0]).keys() == {"key"}


def test_what_a_beacon_took_is_still_confirmed(shop: Shop) -> None:
    """It stays queued until an answer has come; the service knows it again."""
    journeys = some()
    tab = shop.visit()
    shop.gateway.behaviour = Fault.UNREACHABLE
    report(tab, journeys)
    posted(shop)
    busy = Canned(503, (FROM_ANYWHERE,))
    shop.gateway.behaviour = lambda body: None if body.startswith(b'{"key"') else busy

    def is_recorded() -> bool:
        hide(tab)  # again: what was still under way the first time goes by none of its beacons
        return shop.recorded() == journeys

    eventually(tab, is_recorded)
    assert tab.evaluate("log.queued") == 12
    shop.gateway.behaviour = None
    shop.go(tab)
    answered(tab)
    assert shop.recorded() == journeys
    assert not shop.refusals()


def test_a_hidden_tab_sends_each_report_by_beacon_once(shop: Shop) -> None:
    """However often it is told that it is hidden."""
    shop.gateway.behaviour = Fault.UNREACHABLE
    tab = shop.visit()
    report(tab, some(1))
    posted(shop)
    for _ in range(3):
        hide(tab)
    shop.gateway.behaviour = None
    answered(tab)
    beacons = [body for body in shop.gateway.posts if body.startswith(b'{"key"')]
    assert len(beacons) == 1


@pytest.mark.parametrize("kill", [False, True])
def test_the_service_restarts_while_a_page_reports(shop: Shop, *, kill: bool) -> None:
    """Every few reports, in the middle of them; also without a chance to finish anything."""
    journeys = some(12)
    tab = shop.visit()
    for number, (action, states) in enumerate(journeys.items()):
        before = len(shop.gateway.posts)
        report(tab, {action: states[:2]})
        if number % 4 == 3:
            posted(shop, before + 1)
            shop.restart(kill=kill)
        report(tab, {action: states[2:]})
    answered(tab)
    assert shop.recorded() == journeys
    assert not shop.refusals()


def test_offline_then_online(shop: Shop) -> None:
    """Reports wait, and go as soon as the browser says it is online again, before the next attempt is due."""
    journeys = some()
    tab = shop.context.new_page()
    tab.clock.install()
    shop.go(tab)
    shop.context.set_offline(True)
    report(tab, journeys)
    for _ in range(6):
        tab.clock.run_for(61_000)
        tab.wait_for_timeout(100)
    assert any("tried again" in line for line in shop.console)
    assert tab.evaluate("log.queued") == 12
    assert not shop.gateway.posts
    shop.context.set_offline(False)
    tab.wait_for_function("log.queued === 0", timeout=5_000)
    assert shop.recorded() == journeys


def test_the_queue_survives_the_browser(shop: Shop) -> None:
    """A page that opens later, with the same storage, sends what an earlier one could not."""
    journeys = some()
    shop.gateway.behaviour = Fault.UNREACHABLE
    tab = shop.visit()
    report(tab, journeys)
    tab.close()
    shop.gateway.behaviour = None
    answered(shop.visit())
    assert shop.recorded() == journeys


def test_two_tabs(shop: Shop) -> None:
    """Both report while answers get lost; every report is there once, and both tabs know it."""
    journeys = some(20)
    tabs = [shop.visit(), shop.visit()]
    for number, (action, states) in enumerate(journeys.items()):
        shop.gateway.behaviour = Fault.ANSWER_LOST if number % 5 == 0 else None
        report(tabs[number % 2], {action: states[:2]})
        report(tabs[1 - number % 2], {action: states[2:]})
    shop.gateway.behaviour = None
    for tab in tabs:
        answered(tab)
    assert shop.recorded() == journeys
    assert not shop.refusals()


def test_a_tab_waits_for_the_other(shop: Shop) -> None:
    """While one is sending the other is not, so that nothing is sent twice without need."""
    journeys = some(2)
    first, second = journeys
    tabs = [shop.visit(), shop.visit()]
    shop.gateway.behaviour = Fault.ANSWER_HELD
    report(tabs[0], {first: CHAT})
    posted(shop)
    report(tabs[1], {second: CHAT})
    tabs[1].wait_for_timeout(100)
    assert len(shop.gateway.posts) == 1
    shop.gateway.behaviour = None
    for tab in tabs:
        answered(tab)
    assert shop.recorded() == journeys
    sent = [json.loads(line)["eventId"] for body in shop.gateway.posts for line in body.splitlines()]
    assert len(sent) == len(set(sent)) == 8


def test_without_locks_nothing_is_doubled_either(shop: Shop) -> None:
    """The service knows repeats by their id."""
    shop.context.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined });")
    journeys = some(6)
    tabs = [shop.visit(), shop.visit()]
    for number, (action, states) in enumerate(journeys.items()):
        report(tabs[number % 2], {action: states})
    for tab in tabs:
        answered(tab)
    assert shop.recorded() == journeys
    assert not shop.refusals()


def test_without_storage_a_page_reports_all_the_same(shop: Shop) -> None:
    """From memory, as long as it is open."""
    shop.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('blocked'); } });"
    )
    journeys = some()
    tab = shop.visit()
    shop.gateway.behaviour = Fault.UNREACHABLE
    report(tab, journeys)
    posted(shop)
    shop.gateway.behaviour = None
    answered(tab)
    assert shop.recorded() == journeys
