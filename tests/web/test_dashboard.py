"""The dashboard in real Chromium: what it shows is what the API says, and nobody is shut out of it."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from offerlog_application.ports.keys import Role
from support.http_site import Site
from support.journeys import an_id, blocked_event, journeys, signal

pytest_plugins = ("support.http_site", "support.pages.dashboard")

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
PAGES = (
    *("/", "/action-maps?by_version=true", "/offers?metric=ignored&cohort=offered"),
    *("/visitors?customer_id=visitor-4", "/health"),
)
COLUMNS = [
    f"nWebActions{name}"
    for name in (
        "Offered",
        "Accepted",
        "Rejected",
        "Ignored",
        "Timedout",
        "Errored",
        "Started",
        "Abandoned",
        "Engaged",
    )
]
"""The metrics in the order of the table."""


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def test_it_shows_what_the_report_says(site: Site, page: Page) -> None:
    """At first the newest day by hour, in the browser's own zone; the table map by map, or row by row."""
    asked = {"zone": "Asia/Kathmandu", "view": "full", "from": "2025-03-10", "to": "2025-03-11"}
    with site.client() as client:
        totals, hours = (
            client.get("/v1/reports/action-map-performance", params=asked | {"by": by}).json()["rows"]
            for by in ("total", "hour")
        )
    # the days that the opening shows, and its granularity
    zone = page.get_by_label("Zone").input_value()  # Chromium spells Kathmandu in its own way
    expect(page.locator("#shown")).to_have_text(
        f"Mon 2025-03-10 · by hour · {zone} · nothing to compare with (Sun 2025-03-09)"
    )
    assert page.url.endswith(f"?range=newest&zone={zone.replace('/', '%2F')}")
    expect(page.get_by_label("From", exact=True)).to_have_value("2025-03-10")
    expect(page.get_by_label("Until, inclusive", exact=True)).to_have_value("2025-03-10")
    # a row for each map, the most offers first, and all in the first row
    sums = Counter[str]()
    for row in totals:
        sums.update(row["metrics"])
    expect(page.locator("#rows .rows tr")).to_have_count(len(totals))
    assert figures(page, ".totals") == [f"{sums[name]:,}" for name in COLUMNS]
    most = max(totals, key=lambda row: row["metrics"]["nWebActionsOffered"])
    assert figures(page, ".rows") == [f"{most['metrics'][name]:,}" for name in COLUMNS]
    points = page.locator("#rows .rows tr").first.locator("polyline").get_attribute("points")
    assert len((points or "").split()) == 24  # its trend has the hours without counts, too
    expect(page.locator("#steps .step").first).to_contain_text(f"{sums['nWebActionsOffered']:,}")
    expect(page.locator("#course canvas")).to_be_visible()
    # a row for each hour
    page.get_by_label("A row for each").select_option("bucket")
    expect(page.locator("#rows .rows tr")).to_have_count(len(hours))
    first = page.locator("#rows .rows tr").first.locator("th, td").all_text_contents()
    label = hours[0]["bucket"].replace("T", " ")
    assert first[1] == f"{label[:16]} {label[19:]}"
    assert first[2:11] == [f"{hours[0]['metrics'][name]:,}" for name in COLUMNS]
    # as a file
    page.locator("#report-files").locator("xpath=..").locator("summary").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "action-map-performance_2025-03-10_2025-03-11.csv"
    assert Path(download.value.path()).read_text("utf-8-sig").startswith("action_map_id,")
    page.keyboard.press("Escape")
    expect(page.locator("#report-files")).to_be_hidden()


def figures(page: Page, part: str) -> list[str]:
    """The counts in the first row of a part of the table."""
    return page.locator(f"#rows {part} tr").first.locator("td").all_text_contents()[1:10]


def test_the_table_is_sorted_and_searched(site: Site, page: Page) -> None:
    """By a press on the head of a column; the first row sums what is found."""
    with site.client() as client:
        ids = [one["action_map_id"] for one in client.get("/v1/action-maps").json()["action_maps"]]
    names = page.locator("#rows .rows th")
    expect(names).to_have_count(3)
    head = page.get_by_role("columnheader", name="Action map")
    for direction in ("ascending", "descending"):
        head.get_by_role("button").press("Enter")
        expect(head).to_have_attribute("aria-sort", direction)
        expect(head.get_by_role("button")).to_be_focused()
        assert names.all_text_contents() == sorted(ids, reverse=direction == "descending")
    page.get_by_label("Search").fill(ids[1][:8])
    expect(names).to_have_text([ids[1]])
    expect(page.locator("#rows .totals th")).to_have_text("1 of 3 action maps")
    assert figures(page, ".totals") == figures(page, ".rows")
    page.get_by_label("Search").fill("no such map")
    expect(page.locator("#pager")).to_have_text(re.compile("No row has this in its name"))


def test_the_ranges_and_the_period_before(site: Site, page: Page) -> None:
    """A press on a range asks at once. Figures are compared with as many days before, to the same hour."""
    now = datetime.now(UTC)
    today, yesterday, week = (now.replace(hour=0, minute=0) - timedelta(days=days) for days in (0, 1, 7))
    offers = [(today, 3), (yesterday, 2), (today - timedelta(minutes=1), 7)]
    lines = [
        json.dumps(signal("offered", visitor=f"{at}{n}", createdDate=at.isoformat()))
        for at, count in offers
        for n in range(count)
    ]
    site.service.wait(site.service.record(lines).position)
    page.get_by_label("Zone").fill("UTC")
    # what came late yesterday is not compared with a day that is not over, but for its first quarter-hour
    part = "▲ up 50.0 %" if now - today >= timedelta(minutes=15) else "▼ down 66.7 %"
    for name, shown, tile in (
        ("Today", f"{today:%a} {today:%F} · by hour · UTC · compared with", f"Offered3{part}"),
        ("Yesterday", f"{yesterday:%a %F} · by hour · UTC · nothing", "Offered9"),
        ("Last 7 days", f"{week:%F} to {yesterday:%F} · by day", "Offered9"),
        ("Last 90 days", " · by day", "Offered9"),
        ("All time", "all time · by week · UTC", "Offered"),
    ):
        button = page.get_by_role("button", name=name)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#shown")).to_contain_text(shown)
        expect(page.locator("#tiles .tile").first).to_contain_text(tile)
    page.get_by_label("From", exact=True).fill("2025-03-10")
    page.get_by_label("Until, inclusive", exact=True).fill("2025-03-11")
    page.get_by_label("Compare with the period before").uncheck()
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#shown")).to_have_text("2025-03-10 to 2025-03-11 · by hour · UTC")
    assert page.url.endswith("?from=2025-03-10&to=2025-03-12&zone=UTC&compare=off")
    # the chart goes by the clocks of the report, not by the browser's, which stand at three quarters then
    page.locator("#course .u-over").hover()
    expect(page.locator("#legend .at")).to_have_text(re.compile("^2025-03-1[01] [0-9]{2}:00$"))


def test_some_maps_and_an_address_to_pass_on(site: Site, page: Page) -> None:
    """What is chosen stands in the page's address: reloaded, or opened by a colleague, it shows the same."""
    with site.client() as client:
        names = [one["action_map_id"] for one in client.get("/v1/action-maps").json()["action_maps"]]
    assert len(names) > 2
    page.locator("#asked").get_by_text("Action maps", exact=True).click()
    for name in names[:2]:
        page.locator(f"#maps input[value='{name}']").check()
    page.locator("#find").fill(names[2][:8])
    expect(page.locator("#maps label:visible")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("#maps")).to_be_hidden()
    page.keyboard.press("Enter")  # the focus is back where the list opens
    expect(page.locator("#maps")).to_be_visible()
    page.get_by_role("heading", name="Funnel").click()
    expect(page.locator("#maps")).to_be_hidden()
    page.locator("[name=by]").select_option("month")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#chosen")).to_have_text("2 of them")
    expect(page.locator("#rows .rows tr")).to_have_count(2)
    shown, address = page.locator("#rows").inner_text(), page.url
    page.reload()
    expect(page.locator("#rows .rows tr")).to_have_count(2)
    assert page.locator("#rows").inner_text() == shown
    page.get_by_role("button", name="Log out").click()
    page.goto(address)
    page.get_by_label("Key of a reporter or an admin").fill(site.key(Role.REPORTER))
    page.keyboard.press("Enter")
    expect(page.locator("#chosen")).to_have_text("2 of them")
    expect(page.locator("#rows .rows tr")).to_have_count(2)
    assert (page.url, page.locator("#rows").inner_text()) == (address, shown)
    # the link to send names the days
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#copy")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == address.replace("range=newest", "from=2025-03-10&to=2025-03-11")


def test_numbers_move_while_one_looks(site: Site, page: Page) -> None:
    """No reload: the stream tells that something has changed."""
    before = page.locator("#steps .step").first.text_content() or ""
    expect(page.locator("#live")).to_contain_text("live")
    site.service.record(journeys(140)[210:])
    expect(page.locator("#steps .step").first).not_to_have_text(before)


def test_why_an_offer_is_suppressed(page: Page) -> None:
    """The reason in words, and the timeline, page by page and stepped through."""
    page.route("**/v1/history?*", lambda route: route.continue_(url=f"{route.request.url}&limit=3"))
    page.get_by_role("link", name="Visitors").click()
    line = json.loads(journeys(1)[0])
    page.get_by_label("Customer id").fill(line["customerId"])
    page.get_by_label("Action map", exact=True).select_option(line["actionMapId"])
    page.get_by_role("button", name="Look up").click()
    expect(page.locator("#verdict")).to_have_text("Suppressed")
    expect(page.locator("#why")).to_contain_text(
        "had a chat through this offer on 2025-03-10 16:15:00. That suppresses"
    )
    expect(page.locator("#events li")).to_have_count(3)
    expect(page.locator("#state")).to_have_text("3: started")
    page.get_by_role("button", name="Show more events").click()
    expect(page.locator("#events li")).to_have_count(4)
    expect(page.get_by_role("button", name="Show more events")).to_be_hidden()
    page.get_by_label("As it was after event").press("ArrowLeft")
    expect(page.locator("#state")).to_have_text("3: started")
    expect(page.locator("#events li[data-later]")).to_have_count(1)


def test_when_a_suppression_ends(site: Site, page: Page) -> None:
    """The list of the visitor's action maps says until when, where a policy gives it an end."""
    # given
    line = json.loads(journeys(1)[0])
    with site.client() as client:
        path = f"/v1/action-maps/{line['actionMapId']}/policy"
        assert client.put(path, json={"suppress_for": {"engaged": "3650d"}}).status_code == 200
    # when
    page.goto(f"{site.url}/visitors?customer_id={line['customerId']}&zone=UTC")
    # then
    expect(page.locator("#offers tbody td").nth(2)).to_have_text("suppressed until 2035-03-08 10:30:00")


def test_why_a_visitor_was_offered_twice(site: Site, page: Page) -> None:
    """Every event and every refused signal of a visitor, over all maps or on one, page by page."""
    # given a visitor whose first action errored, and who was offered again
    line = json.loads(journeys(3)[-1])
    refused = line | {"actionState": "offered", "actionId": line["actionMapId"], "eventId": None}
    site.service.record([json.dumps(refused).encode()])
    site.service.record([b'{"customerId": "visitor-2"}'] * 100)
    page.get_by_role("link", name="Visitors").click()
    page.get_by_label("Customer id").fill(line["customerId"])
    # when
    page.get_by_role("button", name="Look up").click()
    # then
    entries = page.locator("#entries li")
    expect(entries).to_have_count(100)
    expect(page.locator("#answer")).to_be_hidden()
    expect(entries.nth(2)).to_contain_text("offered again because the action before")
    expect(entries.nth(2)).to_contain_text("which suppresses nothing")
    refusals = page.locator("#entries li[data-refused]")
    expect(refusals.first).to_contain_text("offer refused: terminal_state")
    expect(refusals.nth(1)).to_contain_text("signal offered refused: terminal_state")
    page.get_by_text("The signal as it came").first.click()
    expect(page.locator("#entries code").first).to_contain_text('"actionState": "offered"')
    page.get_by_role("button", name="Show more").click()
    expect(entries).to_have_count(5 + 2 + 100)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    page.get_by_label("Action map", exact=True).select_option(line["actionMapId"])
    page.get_by_role("button", name="Look up").click()
    expect(entries).to_have_count(5 + 2)
    expect(page.locator("#verdict")).to_have_text("Suppressed")


def test_from_a_number_to_its_visitors(site: Site, page: Page) -> None:
    """Where offers end adds up to all offers; each number leads to visitor-offers, and those to events."""
    lines = page.locator("#ends .step")
    expect(lines).to_have_count(10)  # no content offers here
    *ends, offered = (int(count) for count in page.locator("#ends .count").all_text_contents())
    assert sum(ends) == offered
    expect(page.locator("#blocked tbody tr")).to_have_text(
        ["An earlier offer was taken or turned down10101010"]
    )
    expect(page.locator("#times tbody th")).to_have_text(["Accepted", "Started", "Engaged"])
    ignored = lines.filter(has_text="Ignored").get_by_role("link")
    expect(ignored).to_have_text("10")
    ignored.click()
    expect(page.get_by_role("heading", name="Visitor-offers: Ignored")).to_be_visible()
    expect(page.locator("#count")).to_have_text("10 of 10 are listed.")
    expect(page.locator("#rows tbody tr")).to_have_count(10)
    visitor = page.locator("#rows tbody a").first
    customer = visitor.text_content()
    # its events, and what was refused
    visitor.click()
    expect(page.get_by_label("Customer id")).to_have_value(customer or "")
    row = page.locator("#offers tbody tr")
    expect(row).to_contain_text("ignored")
    expect(row.locator("td")).to_have_text(["ignored", re.compile("^2025-03-10 "), "suppressed", "1", "1"])
    expect(page.locator("#entries li")).to_have_count(4)
    # behind a number of distinct visitors, each of them once
    page.goto(f"{site.url}/?range=all&count_by=visitors")
    page.locator("#rows tbody a", has_text="10").first.click()
    expect(page.locator("#shown")).to_contain_text("each visitor of an action map once")
    expect(page.locator("#rows tbody tr")).to_have_count(10)


def test_blocked_offers_of_one_type(site: Site, page: Page) -> None:
    """The page says how many are left out because their type is not known, even if nothing else is shown."""
    site.service.wait(site.service.record([blocked_event(1, 1, an_id("map"), "FrequencyCapping")]).position)
    page.goto(f"{site.url}/?range=all&media_type=contentOffer")
    expect(page.locator("#blocked-none")).to_be_visible()
    left_out = page.locator("#blocked-unknown")
    expect(left_out).to_have_text("Left out: 1 blocked offer whose type is not known.")
    page.goto(f"{site.url}/?range=all")
    expect(page.locator("#blocked")).to_contain_text("The visitor had seen it often enough")
    expect(left_out).to_be_hidden()


def test_recent_visitors_lead_to_their_events(page: Page) -> None:
    """Each once, the newest first; a visitor that was looked up takes the place of the list."""
    page.get_by_role("link", name="Visitors", exact=True).click()
    rows = page.locator("#recent-rows tbody tr")
    expect(rows).to_have_count(70)
    expect(rows.filter(has_text="offer refused: ignored before")).to_have_count(10)
    expect(page.locator("#recent-more")).to_be_hidden()
    first = rows.first.get_by_role("link")
    customer = first.text_content()
    first.click()
    expect(page.get_by_label("Customer id")).to_have_value(customer or "")
    expect(page.locator("#known")).to_be_visible()
    expect(page.locator("#recent")).to_be_hidden()
    page.go_back()
    expect(rows).to_have_count(70)


def test_health(page: Page) -> None:
    """How far the projections are, and what was refused."""
    page.get_by_role("link", name="Health").click()
    expect(page.locator("#projections tbody tr")).to_have_count(3)
    expect(page.locator("#reasons tbody tr")).to_have_text(
        [re.compile("^terminal_stateAn earlier offer.*down10$"), re.compile("^malformedIt cannot.*1$")]
    )


@pytest.mark.parametrize("path", PAGES)
def test_nobody_is_shut_out(site: Site, page: Page, path: str) -> None:
    """No finding of axe, in light and dark; a narrow screen scrolls no page sideways (WCAG 1.4.10)."""
    page.goto(site.url + path)
    expect(page.locator("#main")).not_to_have_attribute("aria-busy", "true", timeout=15_000)
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    page.emulate_media(color_scheme="dark")
    found += page.evaluate("axe.run({runOnly: ['color-contrast']})")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_the_keyboard_reaches_everything(page: Page) -> None:
    """The first stop leads past the navigation; every control has its turn."""
    expect(page.locator("#rows .rows tr").first).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    reached = set()
    for _ in range(70):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
    assert {"range", "from", "until", "zone", "by", "count_by", "cohort", "compare"} <= reached
    assert {"Action maps all", "Show", "Log out", "Copy link", "Engaged", "Engaged %", "Download"} <= reached


def test_the_session(site: Site, page: Page) -> None:
    """A cookie that scripts cannot read and other sites cannot send; it reads, and writes nothing."""
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert "ofl_" not in cookie["value"]
    with httpx.Client(base_url=site.url, cookies={cookie["name"]: cookie["value"]}) as client:
        assert client.get("/v1/projections").status_code == 200
        assert client.post("/v1/signals", json={}).status_code == 401
        assert client.post("/logout", data={"csrf": "guessed"}).status_code == 403
        foreign = client.post("/logout", headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()
    with httpx.Client(base_url=site.url, cookies={cookie["name"]: cookie["value"]}) as client:
        assert client.get("/v1/projections").status_code == 401


def test_a_key_that_opens_nothing_here(site: Site) -> None:
    """Unknown ones and widgets' are refused in words; the form never comes back with the key in it."""
    for text, status, message in (
        ("nonsense", 401, "unknown"),
        (site.key(Role.WIDGET), 403, "opens no reports"),
    ):
        answer = httpx.post(f"{site.url}/login", data={"key": text})
        assert (answer.status_code, message in answer.text, text in answer.text) == (status, True, False)
    for page in ("https://evil.example", "//evil.example", "/metrics", "nowhere", "/\r\nX: y"):
        asked = {"key": site.key(Role.REPORTER), "page": page}
        assert httpx.post(f"{site.url}/login", data=asked).headers["location"] == "/"
    policy = httpx.get(site.url).headers["content-security-policy"]
    assert re.search(r"script-src 'self';", policy)
    assert "unsafe" not in policy
    # after an upgrade no page mixes its new scripts with old ones
    assert httpx.get(f"{site.url}/static/report.js").headers["cache-control"] == "public, no-cache"
