"""What the browser module hands over as a page goes, what it says in the console, and what it stores."""

import json

from offerlog_application.ports.keys import Role
from support.pages.gateway import Canned, Fault
from support.pages.shop import Shop, an_action, answered, eventually, report

pytest_plugins = ["support.pages.fixtures"]

FROM_ANYWHERE = ("Access-Control-Allow-Origin", "*")
HIDE = """() => {
    Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def beacons(shop: Shop) -> list[bytes]:
    """The bodies of the beacons that came."""
    return [body for body in shop.gateway.posts if body.startswith(b'{"key"')]


def test_a_long_queue_goes_in_several_beacons(shop: Shop) -> None:
    """Each of at most 100 reports and 64 KiB: the service hears no larger one, and nobody would know."""
    # given
    journeys = {an_action(): ("offered",) for _ in range(150)}
    tab = shop.visit()
    shop.gateway.behaviour = Fault.UNREACHABLE
    report(tab, journeys)
    eventually(tab, lambda: len(shop.gateway.posts) == 1)
    shop.gateway.behaviour = None
    # when
    tab.evaluate(HIDE)
    eventually(tab, lambda: len(beacons(shop)) > 1)
    tab.wait_for_timeout(500)
    # then
    sent = [line for body in beacons(shop) for line in body.splitlines()[1:]]
    assert max(len(body.splitlines()) for body in beacons(shop)) <= 101
    assert max(map(len, beacons(shop))) <= 64 * 1024
    assert len(set(sent)) == len(sent) > 100
    eventually(tab, lambda: len(shop.recorded()) == len(sent))


def test_one_report_that_is_too_large_holds_no_other_back(shop: Shop) -> None:
    """It waits for a request that may be larger."""
    tab = shop.visit()
    shop.gateway.behaviour = Fault.UNREACHABLE
    action, large = an_action(), an_action()
    report(tab, {large: ("offered",)})
    tab.evaluate(
        """() => {
            const [name] = Object.keys(localStorage);
            const line = JSON.parse(localStorage[name]);
            const room = 65_500 - localStorage[name].length;
            localStorage[name] = JSON.stringify({ ...line, padding: "x".repeat(room) });
        }"""
    )
    report(tab, {action: ("offered",)})
    eventually(tab, lambda: len(shop.gateway.posts) == 1)
    shop.gateway.behaviour = None
    tab.evaluate(HIDE)
    eventually(tab, lambda: bool(beacons(shop)))
    (beacon,) = beacons(shop)
    assert (action in beacon.decode(), large in beacon.decode()) == (True, False)
    shop.go(tab)
    answered(tab)
    assert set(shop.recorded()) == {action, large}


def test_a_beacon_to_another_site_causes_no_error_in_the_console(shop: Shop) -> None:
    """Browsers block its answer unless the service lets any site have it, and complain of that."""
    tab = shop.context.new_page()
    tab.goto(shop.site.url("shop.html").replace("127.0.0.1", "localhost"))
    tab.wait_for_function("window.log")
    tab.evaluate(HIDE)
    action = an_action()
    report(tab, {action: ("accepted",)})
    eventually(tab, lambda: len(beacons(shop)) == 1)
    tab.wait_for_timeout(500)
    assert shop.console == []


def test_no_beacon_goes_while_the_service_asks_for_patience(shop: Shop) -> None:
    """A 429 says how long; leaving the page does not change that."""
    shop.gateway.behaviour = Canned(
        429, (FROM_ANYWHERE, ("Access-Control-Expose-Headers", "Retry-After"), ("Retry-After", "300"))
    )
    tab = shop.visit()
    report(tab, {an_action(): ("offered",)})
    tab.wait_for_function("true")
    eventually(tab, lambda: any("answers 429" in line for line in shop.console))
    tab.evaluate(HIDE)
    tab.wait_for_timeout(300)
    assert beacons(shop) == []
    assert tab.evaluate("log.queued") == 1


def test_the_console_says_why_a_key_is_not_taken(shop: Shop) -> None:
    """Once, in the service's own words."""
    elsewhere = shop.log.keys.create(shop.log.organization, Role.WIDGET, "", ("https://elsewhere.example",))[
        1
    ]
    tab = shop.visit(f"shop.html?key={elsewhere}")
    report(tab, {an_action(): ("offered",)})
    eventually(tab, lambda: any("answers 403" in line for line in shop.console))
    report(tab, {an_action(): ("offered",)})
    tab.wait_for_timeout(300)
    (console_line,) = [line for line in shop.console if line.startswith("offerlog:")]
    assert f"this key is not for use from {shop.site.url('')[:-1]}" in console_line
    assert elsewhere not in console_line


def test_what_is_stored_is_bounded(shop: Shop) -> None:
    """The site needs its storage for itself: at most 512 Ki characters, and long texts are cut."""
    shop.gateway.behaviour = Fault.UNREACHABLE
    tab = shop.visit()
    stored = tab.evaluate(
        """(id) => {
            for (let n = 0; n < 300; n += 1) {
                log.report("errored", { actionId: id, actionMapId: id, errorMessage: "x".repeat(9_999),
                    actionMapName: "\u00e9".repeat(999), errorCode: "y".repeat(999) });
            }
            return Object.entries(localStorage).map(([name, line]) => [name.length + line.length, line]);
        }""",
        an_action(),
    )
    assert 400 * 1024 < sum(length for length, _ in stored) <= 512 * 1024
    line = json.loads(stored[0][1])
    assert [len(line[name]) for name in ("errorMessage", "actionMapName", "errorCode")] == [4_000, 256, 256]
    assert any("is dropped" in console_line for console_line in shop.console)
