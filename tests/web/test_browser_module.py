"""The browser module in Chromium: what a page reports is in the log, and the page hears of it."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error

import offerlog_infrastructure
from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.http.responses.browser_module import read_module
from support.pages.shop import Shop, an_action, answered, report

pytest_plugins = ["support.pages.fixtures"]

INFRASTRUCTURE = Path(offerlog_infrastructure.__file__).parent
MODULE = INFRASTRUCTURE / "web/static/offerlog.js"
DOCUMENTATION = INFRASTRUCTURE.parents[1] / "docs/browser.md"
ACTION_MAP = "3b5e0c5a-7d0b-4c55-9d55-0f6f2f1d2a11"

WHOLE = [
    ("offered", "accepted", "started", "engaged"),
    ("offered", "accepted", "started", "abandoned"),
    ("offered", "accepted", "rejected"),
    ("offered", "rejected"),
    ("offered", "ignored"),
    ("offered", "errored"),
    ("offered", "timedout"),
    ("qualified", "offered", "ignored"),
    ("qualified", "frequencyCapReached"),
    ("qualifiedOutsideSchedule",),
    ("offeredOutsideSchedule",),
]


def test_every_state_is_recorded(shop: Shop) -> None:
    """All ways an offer can go, each state once, in order."""
    journeys = {an_action(): states for states in WHOLE}
    assert {state for states in WHOLE for state in states} == set(State)
    tab = shop.visit()
    report(tab, journeys)
    answered(tab)
    assert shop.recorded() == journeys
    assert not shop.refusals()


def test_all_that_was_told_is_kept(shop: Shop) -> None:
    """Every field arrives as the page gave it, with an id and a time of the report."""
    action, action_map = an_action(), an_action()
    tab = shop.visit()
    tab.evaluate(
        """([action, map]) => {
            const shown = log.invite(
                { actionId: action, actionMapId: map, actionMapVersion: 3, actionMapName: "Checkout help" },
                { timeoutSeconds: 600 },
            );
            window.before = Date.now();
            log.report("errored", { ...shown, errorCode: "00045", errorMessage: "no frame" });
            window.after = Date.now();
        }""",
        [action, action_map],
    )
    answered(tab)
    offered, errored = shop.log.history(customer_id="shopper", action_map_id=action_map).events
    assert offered.session_id == "11111111-1111-4111-8111-111111111111"
    assert offered.action_map_version == 3
    assert offered.timeout_seconds == 600
    assert (errored.error_code, errored.error_message) == ("00045", "no frame")
    assert offered.event_id
    assert errored.event_id
    assert offered.event_id != errored.event_id
    at = errored.occurred_at.timestamp() * 1000
    assert tab.evaluate("before") <= round(at) <= tab.evaluate("after")


def test_listeners_hear_the_vendors_event(shop: Shop) -> None:
    """Each report of the state and media type they asked for, until `off`; `once` hears one."""
    action = an_action()
    tab = shop.visit()
    calls: list[dict[str, Any]] = tab.evaluate(
        """(id) => {
            const heard = [];
            const hear = (who) => (event) => heard.push({ who, ...event });
            const every = hear("every");
            const fields = { actionId: id, actionMapId: id, actionMapVersion: 3 };
            log.on("webchat", "errored", () => { throw new Error("a listener's own mistake"); });
            log.on("webchat", "errored", every);
            log.once("webchat", "errored", hear("once"));
            log.on("webchat", "accepted", hear("another state"));
            log.on("contentOffer", "errored", hear("another media type"));
            log.on("webchat", "errored", hear("off"));
            log.off("contentOffer", "errored");
            log.report("errored", { ...fields, errorCode: 45, errorMessage: "no frame" });
            log.off("webchat", "errored", every);
            log.report("errored", fields);
            log.off("webchat", "errored");
            log.report("errored", fields);
            return heard;
        }""",
        action,
    )
    assert [one.pop("who") for one in calls] == ["every", "once", "off", "off"]
    assert calls[0] == {
        "actionId": action,
        "actionState": "errored",
        "actionMediaType": "webchat",
        "actionMapId": action,
        "actionMapVersion": 3,
        "customerId": "shopper",
        "customerIdType": "cookie",
        "sessionId": "11111111-1111-4111-8111-111111111111",
        "errorCode": 45,
        "errorMessage": "no frame",
    }


def test_an_invitation_times_out(shop: Shop) -> None:
    """After the time given for it, or else for all; the page is told, and can take it off the screen."""
    first, second = an_action(), an_action()
    tab = shop.visit("shop.html?timeoutSeconds=1")
    tab.evaluate(
        """([first, second]) => {
            window.gone = [];
            log.on("webchat", "timedout", (event) => gone.push(event.actionId));
            log.invite({ actionId: second, actionMapId: second }, { timeoutSeconds: 2 });
            log.invite({ actionId: first, actionMapId: first });
        }""",
        [first, second],
    )
    tab.wait_for_function("gone.length === 2")
    assert tab.evaluate("gone") == [first, second]
    answered(tab)
    assert shop.recorded() == dict.fromkeys((first, second), ("offered", "timedout"))


def test_an_invitation_that_was_answered_does_not_time_out(shop: Shop) -> None:
    """Whatever else became of it first stands, and null means no time-out."""
    answered_one, open_one, last = an_action(), an_action(), an_action()
    tab = shop.visit("shop.html?timeoutSeconds=1")
    tab.evaluate(
        """([answered, open, last]) => {
            window.gone = [];
            log.on("webchat", "timedout", (event) => gone.push(event.actionId));
            log.report("accepted", log.invite({ actionId: answered, actionMapId: answered }));
            log.invite({ actionId: open, actionMapId: open }, { timeoutSeconds: null });
            log.invite({ actionId: last, actionMapId: last }, { timeoutSeconds: 2 });
        }""",
        [answered_one, open_one, last],
    )
    tab.wait_for_function("gone.length > 0")
    assert tab.evaluate("gone") == [last]
    answered(tab)
    assert shop.recorded() == {
        answered_one: ("offered", "accepted"),
        open_one: ("offered",),
        last: ("offered", "timedout"),
    }


def test_an_invitation_gets_an_id(shop: Shop) -> None:
    """Unless it has one; the action that comes back is good for the reports that follow."""
    action_map = an_action()
    tab = shop.visit()
    action = tab.evaluate(
        """(map) => {
            const shown = log.invite({ actionMapId: map });
            log.report("rejected", shown);
            return shown.actionId;
        }""",
        action_map,
    )
    answered(tab)
    events = shop.log.history(customer_id="shopper", action_map_id=action_map).events
    assert [(one.action_id, one.state) for one in events] == [(action, "offered"), (action, "rejected")]


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("log.report('timed out', { actionId: 'a', actionMapId: 'b' })", "no state of an action: timed out"),
        ("log.on('webchat', 'seen', () => {})", "no state of an action: seen"),
        ("log.report('accepted', { actionMapId: 'b' })", "actionId is required"),
        ("log.report('accepted', { actionId: 'a' })", "actionMapId is required"),
        (
            "log.report('accepted', { actionId: 'a', actionMapId: 'b', customerId: 7 })",
            "customerId is required",
        ),
        ("new log.constructor({ customerId: 'v', sessionId: 's' })", "key is required"),
    ],
)
def test_a_mistake_in_the_page_is_told_at_once(shop: Shop, mistake: str, message: str) -> None:
    """As an error of the call, with nothing queued."""
    tab = shop.visit()
    with pytest.raises(Error, match=message):
        tab.evaluate(mistake)
    assert tab.evaluate("log.queued") == 0


def test_a_refused_report_is_not_sent_again(shop: Shop) -> None:
    """The console says why; the others of its batch are recorded."""
    good = an_action()
    tab = shop.visit()
    report(tab, {"no-uuid": ("offered",), good: ("offered",)})
    answered(tab)
    assert shop.recorded() == {good: ("offered",)}
    assert shop.refusals() == [Reason.MALFORMED]
    assert any("refused: malformed" in line and "no-uuid" in line for line in shop.console)


def test_a_long_error_message_is_cut_between_characters(shop: Shop) -> None:
    """The error is recorded all the same."""
    action = an_action()
    tab = shop.visit()
    tab.evaluate(
        """(id) => {
            const errorMessage = "x".repeat(3999) + "\\u{1F600}".repeat(100000);
            log.report("errored", log.invite({ actionId: id, actionMapId: id, errorMessage }));
        }""",
        action,
    )
    answered(tab)
    assert shop.recorded() == {action: ("offered", "errored")}


def test_a_clock_that_is_wrong_loses_nothing(shop: Shop) -> None:
    """What the service takes for the future is sent again, to be dated by its own clock."""
    action = an_action()
    tab = shop.context.new_page()
    tab.clock.install(time="2126-01-01T00:00:00Z")
    shop.go(tab)
    report(tab, {action: ("offered", "accepted")})
    tab.clock.run_for(10)
    answered(tab)
    assert shop.recorded() == {action: ("offered", "accepted")}
    assert all("createdDate" not in json.loads(line) for line in shop.gateway.posts[-1].splitlines())


@pytest.mark.parametrize(
    ("clicks", "states"),
    [
        (["No, thank you"], ("offered", "rejected")),
        (["Yes, please", "Cancel"], ("offered", "accepted", "rejected")),
        (["Yes, please", "Start the chat", "Close"], ("offered", "accepted", "started", "abandoned")),
        (["Yes, please", "Start the chat", "agent", "Close"], ("offered", "accepted", "started", "engaged")),
        (["leave"], ("offered", "ignored")),
        (["Yes, please", "leave"], ("offered", "accepted")),
    ],
)
def test_the_page_of_the_documentation_works(shop: Shop, clicks: list[str], states: tuple[str, ...]) -> None:
    """Word for word, but for the address and the key: every way through it is in the log."""
    page, *_ = re.findall(
        r"^```html\n(<!doctype.*?)^```$", DOCUMENTATION.read_text(), re.DOTALL | re.MULTILINE
    )
    shop.site.pages["checkout.html"] = page.replace("https://offers.example.com", "{{service}}").replace(
        "ofl_widget_...", "{{key}}"
    )
    shop.site.pages["visitor"] = json.dumps({"customerId": "shopper", "token": shop.visitor_token()})
    tab = shop.context.new_page()
    tab.goto(shop.site.url("checkout.html"))
    tab.get_by_text("May we help you?").wait_for()
    assert tab.evaluate("document.activeElement.localName") == "body"  # nobody accepts by typing
    for one in clicks:
        if one == "leave":
            shop.go(tab)
        elif one == "agent":
            tab.evaluate("document.dispatchEvent(new Event('agent-connected'))")
        else:
            if one == "Start the chat":
                tab.get_by_label("Your question").fill("Where is my parcel?")
            tab.get_by_role("button", name=one).click()
    if "leave" not in clicks:
        assert not tab.get_by_role("button").count()
        shop.go(tab)
    answered(tab)
    assert list(shop.states_of(ACTION_MAP)) == list(states)
    assert not shop.refusals()
    with tab.expect_response("**/v1/offers") as asked:
        tab.goto(shop.site.url("checkout.html"))
    assert asked.value.json()["reason"] == ("already_open" if states[-1] == "accepted" else "terminal_state")
    assert not tab.get_by_text("May we help you?").is_visible()
    assert list(shop.states_of(ACTION_MAP)) == list(states)


def test_the_documentation_names_every_option() -> None:
    """And no others, with the defaults that hold."""
    (taken,) = re.findall(r"constructor\(\{(.*?)\}\)", MODULE.read_text(), re.DOTALL)
    options = set(re.findall(r"^ +(\w+)", taken, re.MULTILINE))
    table = DOCUMENTATION.read_text().partition("new Offerlog(options)")[2].partition("## Methods")[0]
    assert options == set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))


def test_the_module_is_small() -> None:
    """A few KB on the wire, and nothing else to load."""
    assert len(gzip.compress(read_module().content)) < 7 * 1024
    assert not re.search(r"^import |\bimport\(", MODULE.read_text(), re.MULTILINE)
