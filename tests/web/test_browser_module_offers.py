"""The browser module asks before it invites, notices that a view is left, and explains what is refused."""

import json
import time
from typing import Any

import httpx
from playwright.sync_api import Page

from offerlog_infrastructure.http.responses.browser_module import read_module
from support.pages.gateway import Canned, Fault
from support.pages.shop import Shop, an_action, answered, eventually

pytest_plugins = ["support.pages.fixtures"]

CORS = (("Access-Control-Allow-Origin", "*"), ("Content-Type", "application/problem+json"))


def with_tokens(shop: Shop, tab: Page, *tokens: str) -> None:
    """Give the page another object, whose function gets these tokens one after the other."""
    tab.evaluate(
        """([service, key, tokens]) => {
            window.given = 0;
            window.refused = [];
            log.close();
            window.log = new log.constructor({
                url: service,
                key,
                customerId: "shopper",
                sessionId: "11111111-1111-4111-8111-111111111111",
                visitorToken: async () => tokens[Math.min(given++, tokens.length - 1)],
                timeoutSeconds: 60,
            });
            log.on("refused", (event) => refused.push(event));
        }""",
        [shop.gateway.url, shop.site.values["key"], list(tokens)],
    )


def offer(tab: Page, action_map: str) -> Any:
    """Ask for an offer."""
    return tab.evaluate("(map) => log.offer({ actionMapId: map, actionMapVersion: 2 })", action_map)


def test_a_page_asks_before_it_invites(shop: Shop) -> None:
    """An expired token is renewed, a lost answer asked for again; then blocked, once with each reason."""
    # given
    action_map = an_action()
    tab = shop.visit()
    with_tokens(shop, tab, shop.visitor_token(exp=time.time() - 600), shop.visitor_token())
    shop.gateway.behaviour = Fault.ANSWER_LOST
    # when the answer to the second request is lost, too
    tab.evaluate(
        "(map) => { log.offer({ actionMapId: map }).then((one) => { window.action = one; }); }", action_map
    )
    eventually(tab, lambda: len(shop.gateway.posts) >= 2)
    shop.gateway.behaviour = None
    tab.wait_for_function("window.action !== undefined")
    # then
    action = tab.evaluate("action")
    assert tab.evaluate("given") == 2
    (event,) = shop.log.history(customer_id="shopper", action_map_id=action_map).events
    assert (event.action_id, event.timeout_seconds) == (action["actionId"], 60)
    # when
    assert offer(tab, action_map) is None
    tab.evaluate("log.report('rejected', log.invite(action))")
    answered(tab)
    assert offer(tab, action_map) is None
    # then
    assert shop.states_of(action_map) == ["offered", "rejected"]
    assert [(one["what"], one["reason"]) for one in tab.evaluate("refused")] == [
        ("offer", "already_open"),
        ("offer", "terminal_state"),
    ]


def test_what_the_service_refuses_is_explained(shop: Shop) -> None:
    """To the listener and on the console: an offer, a report, the page; a closed page waits for nothing."""
    # given
    tab = shop.visit()
    with_tokens(shop, tab, shop.visitor_token("somebody else"))
    # when
    assert offer(tab, an_action()) is None
    tab.evaluate("log.report('offered', { actionId: 'no-uuid', actionMapId: 'no-uuid' })")
    tab.wait_for_function("refused.length === 2")
    body = {"type": "/problems/forbidden", "detail": "not from here", "field": "Origin"}
    shop.gateway.behaviour = Canned(403, CORS, json.dumps(body).encode())
    tab.evaluate("([id]) => log.report('offered', { actionId: id, actionMapId: id })", [an_action()])
    tab.wait_for_function("refused.length === 3")
    # then
    of_offer, of_report, of_page = tab.evaluate("refused")
    assert (of_offer["what"], of_offer["reason"], of_offer["status"]) == ("offer", "forbidden", 403)
    assert of_offer["detail"] == "403: the visitor token is for another visitor"
    assert (of_report["what"], of_report["reason"], of_report["actionId"]) == (
        "report",
        "malformed",
        "no-uuid",
    )
    assert of_report["detail"].startswith("actionId, ")
    origin = shop.site.url("").rstrip("/")
    hint = f"403: not from here; make one for it: offerlog keys create --origin {origin}"
    assert of_page == {"what": "page", "reason": "forbidden", "status": 403, "detail": hint}
    assert any(hint in line for line in shop.console)
    # when the page is closed while it is not seen
    tab.evaluate(
        "Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true })"
    )
    tab.evaluate(
        "(map) => { log.offer({ actionMapId: map }).then((one) => { window.late = one; }); }", an_action()
    )
    tab.evaluate("log.close()")
    tab.wait_for_function("window.late === null")
    assert tab.evaluate("refused.at(-1).reason") == "closed"


def test_leaving_the_view_of_an_invitation_ignores_it(shop: Shop) -> None:
    """Another path or route, with the Navigation API and without; not another query, nor once answered."""
    for without in (False, True):
        # given
        moves = [an_action() for _ in range(4)]
        tab = shop.context.new_page()
        if without:
            tab.add_init_script("Object.defineProperty(window, 'navigation', { value: undefined })")
        shop.go(tab)
        tab.evaluate(
            """(ids) => {
                window.gone = [];
                log.on("webchat", "ignored", (event) => gone.push(event.actionId));
                const options = { ignoredWhenLeft: true };
                window.invite = (id) => log.invite({ actionId: id, actionMapId: id }, options);
                log.report("accepted", invite(ids[3]));
                invite(ids[0]);
                history.replaceState({}, "", "?page=2");
                history.pushState({}, "", "#reviews");
            }""",
            moves,
        )
        # when
        tab.evaluate("(ids) => { history.pushState({}, '', '/basket'); }", moves)
        tab.wait_for_function("gone.length === 1")
        tab.evaluate("(ids) => { invite(ids[1]); location.hash = '#/checkout'; }", moves)
        tab.wait_for_function("gone.length === 2")
        tab.evaluate("(ids) => { invite(ids[2]); }", moves)
        shop.go(tab)
        answered(tab)
        # then
        first, second, third, last = moves
        ignored = {one: ["offered", "ignored"] for one in (first, second, third)}
        expected = ignored | {last: ["offered", "accepted"]}
        assert {one: shop.states_of(one) for one in moves} == expected
        tab.close()


def test_the_module_has_an_address_that_never_changes(shop: Shop) -> None:
    """Packed, kept for ever, with a digest that the browser checks; the plain address has the same text."""
    # given
    module, url = read_module(), f"http://127.0.0.1:{shop.served.port}/static"
    # when
    pinned = httpx.get(f"{url}/{module.file_name}", headers={"Accept-Encoding": "gzip"})
    plain = httpx.get(f"{url}/offerlog.js", headers={"Accept-Encoding": "gzip;q=0"})
    # then
    assert pinned.content == plain.content == module.content
    assert pinned.headers["content-encoding"] == "gzip"
    assert int(pinned.headers["content-length"]) < 7 * 1024
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"
    assert (pinned.headers["cache-control"], plain.headers["cache-control"]) == (
        "public, max-age=31536000, immutable",
        "public, max-age=3600",
    )
    again = httpx.get(f"{url}/offerlog.js", headers={"If-None-Match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert httpx.get(f"{url}/offerlog-0.0.9-000000000000.js").status_code == 404
    assert httpx.post(f"{url}/offerlog.js").status_code == 405
    # when a page pins it, and when it pins something else
    for integrity, is_loaded in ((module.integrity, True), (module.integrity[:-4] + "AAAA", False)):
        address = f"{shop.gateway.url}/static/{module.file_name}"
        importmap = {"imports": {"offerlog": address}, "integrity": {address: integrity}}
        shop.site.pages["pinned.html"] = (
            f"<script type=importmap>{json.dumps(importmap)}</script>"
            "<script type=module>window.loaded = import('offerlog').then(() => true, () => false)</script>"
        )
        tab = shop.context.new_page()
        tab.goto(shop.site.url("pinned.html"))
        assert tab.evaluate("loaded") is is_loaded
