"""The browser module in Chromium when things go wrong: nothing is lost, doubled or tried for ever."""

import json
import re

import pytest
from playwright.sync_api import Page

from offerlog_domain.outcomes import Reason
from web.pages.gateway import Canned, Fault
from web.pages.shop import Journeys, Shop, an_action, answered, eventually, report

pytest_plugins = ["web.pages.fixtures"]

CHAT = ("offered", "accepted", "started", "engaged")
FROM_ANYWHERE = ("Access-Control-Allow-Origin", "*")


def some(number: int = 3, states: tuple[str, ...] = CHAT) -> Journeys:
    """Actions nobody has heard of, and what is to become of them."""
    return {an_action(): states for _ in range(number)}


def posted(shop: Shop, number: int = 1) -> None:
    """Wait until so many requests have come to the gateway."""
    eventually(shop.context.pages[0], lambda: len(shop.gateway.posts) >= number)


def hide(tab: Page) -> None:
    """What a browser does when a tab goes to the background, which a headless one never does by itself."""
    tab.evaluate(
        """() => {
            Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )


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
    hide(tab)
    eventually(tab, lambda: shop.recorded() == journeys)
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


def test_a_service_that_asks_for_patience_gets_it(shop: Shop) -> None:
    """No attempt before `Retry-After` is over, whatever else gives hope."""
    busy = (FROM_ANYWHERE, ("Access-Control-Expose-Headers", "Retry-After"), ("Retry-After", "300"))
    shop.gateway.behaviour = Canned(503, busy)
    journeys = some()
    tab = shop.context.new_page()
    tab.clock.install()
    shop.go(tab)
    report(tab, journeys)
    tab.clock.run_for(10)
    posted(shop)
    tab.wait_for_timeout(100)
    shop.gateway.behaviour = None
    tab.clock.run_for(299_000)
    tab.evaluate("dispatchEvent(new Event('online'))")
    tab.clock.run_for(500)
    tab.wait_for_timeout(200)
    assert len(shop.gateway.posts) == 1
    tab.clock.run_for(2_000)
    answered(tab)
    assert shop.recorded() == journeys


def test_attempts_become_rare(shop: Shop) -> None:
    """Twice the wait each time, give or take, up to a minute; the console says so once."""
    shop.gateway.behaviour = Canned(503, (FROM_ANYWHERE,))
    tab = shop.context.new_page()
    tab.clock.install()
    shop.go(tab)
    report(tab, some(1))
    waits: list[int] = []
    for attempt in range(1, 10):
        waited = 0
        while len(shop.gateway.posts) < attempt:
            tab.clock.run_for(250)
            tab.wait_for_timeout(5)
            waited += 250
        tab.wait_for_timeout(50)
        waits.append(waited)
    assert all(later > earlier for earlier, later in zip(waits[1:6], waits[3:8], strict=True))
    assert max(waits) < 70_000
    assert sum("tried again" in line for line in shop.console) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_taken_ends_the_attempts(shop: Shop, status: int) -> None:
    """The console says so once; what is queued waits for a page whose key is good."""
    shop.gateway.behaviour = Canned(status, (FROM_ANYWHERE,))
    journeys = some()
    tab = shop.visit()
    report(tab, dict(list(journeys.items())[:2]))
    posted(shop)
    tab.wait_for_timeout(100)
    report(tab, dict(list(journeys.items())[2:]))
    hide(tab)
    tab.wait_for_timeout(100)
    assert len(shop.gateway.posts) == 1
    assert sum(f"answers {status}" in line for line in shop.console) == 1
    assert tab.evaluate("log.queued") == 12
    shop.gateway.behaviour = None
    shop.go(tab)
    answered(tab)
    assert shop.recorded() == journeys


def test_a_wrong_key_ends_the_attempts(shop: Shop) -> None:
    """As the service itself answers it."""
    journeys = some(1)
    tab = shop.visit("shop.html?key=ofl_widget_wrong")
    report(tab, journeys)
    posted(shop)
    tab.wait_for_timeout(100)
    assert sum("answers 401" in line for line in shop.console) == 1
    shop.go(tab)
    answered(tab)
    assert shop.recorded() == journeys
    assert len(shop.gateway.posts) == 2


@pytest.mark.parametrize("status", [400, 413])
def test_one_report_that_cannot_be_taken_does_not_stop_the_others(shop: Shop, status: int) -> None:
    """The batch is taken apart until it is alone; then it is dropped, and the console shows it."""
    good, bad = some(5), an_action()
    turned_away = Canned(status, (FROM_ANYWHERE,))
    shop.gateway.behaviour = lambda body: turned_away if bad.encode() in body else None
    tab = shop.visit()
    report(tab, {**dict(list(good.items())[:3]), bad: ("offered",), **dict(list(good.items())[3:])})
    answered(tab)
    assert shop.recorded() == good
    assert sum("dropped" in line and bad in line for line in shop.console) == 1


@pytest.mark.parametrize("body", [b"<h1>Welcome</h1>", b"{}", b'{"outcomes": []}'])
def test_an_answer_that_is_not_the_services_is_none(shop: Shop, body: bytes) -> None:
    """A log-in page of a hotel, say: 200, and nothing recorded."""
    journeys = some()
    shop.gateway.behaviour = Canned(200, (FROM_ANYWHERE,), body)
    tab = shop.visit()
    report(tab, journeys)
    posted(shop)
    shop.gateway.behaviour = None
    answered(tab)
    assert shop.recorded() == journeys


def test_the_queue_is_bounded(shop: Shop) -> None:
    """What no longer fits is dropped, and the console says what; what waited first goes first."""
    kept, dropped = some(2, ("offered",)), some(1, ("offered",))
    shop.gateway.behaviour = Fault.UNREACHABLE
    tab = shop.visit("shop.html?maxQueued=2")
    report(tab, {**kept, **dropped})
    assert tab.evaluate("log.queued") == 2
    shop.gateway.behaviour = None
    answered(tab)
    assert shop.recorded() == kept
    assert sum(f'"offered" of action {next(iter(dropped))} is dropped' in line for line in shop.console) == 1


def test_nothing_is_kept_for_ever(shop: Shop) -> None:
    """After a week a report that could not be sent is dropped, and the console shows it."""
    shop.gateway.behaviour = Fault.UNREACHABLE
    tab = shop.visit()
    report(tab, some(1, ("offered",)))
    tab.evaluate(
        """() => {
            const [name] = Object.keys(localStorage);
            const aged = name.replace(/\\d{15}/, (at) => String(at - 8 * 86400000).padStart(15, "0"));
            localStorage.setItem(aged, localStorage.getItem(name));
            localStorage.removeItem(name);
        }"""
    )
    answered(shop.visit())
    assert any("never sent" in line for line in shop.console)


def test_many_reports_go_in_requests_that_a_leaving_page_may_make(shop: Shop) -> None:
    """Browsers refuse more than 64 KiB of them at a time."""
    journeys = some(200, ("offered",))
    tab = shop.visit()
    tab.evaluate(
        """(ids) => ids.forEach((id) => {
            log.report("offered", { actionId: id, actionMapId: id, errorMessage: "\u00e9".repeat(500) });
        })""",
        list(journeys),
    )
    answered(tab)
    assert shop.recorded() == journeys
    assert max(map(len, shop.gateway.posts)) <= 48 * 1024
    assert len(shop.gateway.posts) < 20


def test_a_page_without_tls_has_ids_too(shop: Shop) -> None:
    """Browsers give it no crypto.randomUUID."""
    shop.context.add_init_script("delete Crypto.prototype.randomUUID;")
    journeys = some()
    tab = shop.visit()
    assert tab.evaluate("crypto.randomUUID") is None
    report(tab, journeys)
    answered(tab)
    assert shop.recorded() == journeys
    assert not shop.refusals()


def test_a_closed_log_reports_no_more(shop: Shop) -> None:
    """Its time-outs are withdrawn, and what it had is sent by the next."""
    action = an_action()
    tab = shop.visit()
    shop.gateway.behaviour = Fault.UNREACHABLE
    tab.evaluate(
        """(id) => {
            log.invite({ actionId: id, actionMapId: id }, { timeoutSeconds: 1 });
            log.close();
        }""",
        action,
    )
    tab.wait_for_timeout(1200)
    assert tab.evaluate("log.queued") == 1
    shop.gateway.behaviour = None
    shop.go(tab)
    answered(tab)
    assert shop.recorded() == {action: ("offered",)}


def test_a_bad_report_in_the_storage_is_refused_once(shop: Shop) -> None:
    """Whoever wrote it there."""
    tab = shop.visit()
    tab.evaluate("localStorage.setItem(`offerlog/default/${String(Date.now()).padStart(15, '0')}/x`, '?')")
    answered(shop.visit())
    assert shop.refusals() == [Reason.MALFORMED]
