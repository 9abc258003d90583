"""What the browser module does with answers that are no outcomes, and what bounds its queue."""

import pytest

from offerlog_domain.outcomes import Reason
from support.pages.gateway import Canned, Fault
from support.pages.shop import (
    Shop,
    an_action,
    answered,
    hide,
    posted,
    report,
    some,
)

pytest_plugins = ["support.pages.fixtures"]

FROM_ANYWHERE = ("Access-Control-Allow-Origin", "*")


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
            step = min(max(250, waited // 8), 2_000)  # a post that is slow to arrive adds a few steps
            tab.clock.run_for(step)
            tab.wait_for_timeout(10)
            waited += step
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
