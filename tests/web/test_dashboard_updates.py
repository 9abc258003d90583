"""What the dashboard keeps when its figures move, what it bounds, and what it says when something ends."""

import json
import re
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Error, Page, Route, expect

from offerlog_domain.signals import MAX_LINE_BYTES
from support.http_site import SharedService, Site
from support.journeys import journeys

pytest_plugins = ("support.http_site", "support.pages.dashboard")


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def signals(
    action_map: str, customer: str, *states: str, at: datetime | None = None, name: str | None = None
) -> list[bytes]:
    """One action, through these states."""
    action = str(uuid.uuid4())
    moment = (at or datetime.now(UTC)).isoformat()
    ids = {"actionId": action, "actionMapId": action_map, "sessionId": action, "customerId": customer}
    more = {"createdDate": moment} | ({"actionMapName": name} if name else {})
    return [json.dumps(ids | {"actionState": state} | more).encode() for state in states]


def show_by(page: Page, granularity: str) -> None:
    """Ask for the report in buckets of that length."""
    page.locator("[name=by]").select_option(granularity)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#main")).not_to_have_attribute("aria-busy", "true", timeout=15_000)


def test_a_live_update_keeps_what_is_hidden_and_the_zoom(site: Site, page: Page) -> None:
    """It changes the figures, and nothing that somebody has set."""
    # given
    show_by(page, "hour")
    expect(page.locator("#live")).to_contain_text("live")
    legend = page.locator("#legend").get_by_role("button", name="Offered")
    legend.click()
    expect(legend).to_have_attribute("aria-pressed", "false")
    over = page.locator("#course .u-over").bounding_box()
    assert over is not None
    y = over["y"] + over["height"] / 2
    page.mouse.move(over["x"] + over["width"] / 4, y)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] / 2, y, steps=5)
    page.mouse.up()
    before = page.locator("#steps .step").first.text_content() or ""
    zoomed = axis_of(page)
    # when
    site.service.record(journeys(140)[210:])
    expect(page.locator("#steps .step").first).not_to_have_text(before, timeout=15_000)
    # then
    expect(legend).to_have_attribute("aria-pressed", "false")
    assert axis_of(page) == zoomed


def axis_of(page: Page) -> str:
    """The pixels of the chart's time axis."""
    return str(
        page.evaluate(
            """() => {
                const canvas = document.querySelector("#course canvas");
                const height = Math.round(canvas.height / 6);
                const pixels = canvas.getContext("2d");
                return pixels.getImageData(0, canvas.height - height, canvas.width, height).data.join();
            }"""
        )
    )


def test_a_live_update_leaves_half_edited_filters_alone(site: Site, page: Page) -> None:
    """It asks what was asked for with the button; the address stays as it is."""
    # given
    expect(page.locator("#live")).to_contain_text("live")
    expect(page.locator("#rows .rows tr").first).to_be_visible()
    address, before = page.url, page.locator("#steps .step").first.text_content() or ""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    # when
    page.get_by_label("Zone").fill("Mars")
    page.locator("[name=by]").select_option("month")
    site.service.record(journeys(140)[210:])
    expect(page.locator("#steps .step").first).not_to_have_text(before, timeout=15_000)
    # then
    reports = [one for one in asked if "action-map-performance" in one]
    assert reports
    assert not any("Mars" in one or "by=month" in one for one in reports)
    assert page.url == address
    expect(page.locator("#wrong")).to_be_hidden()


def test_a_long_table_is_shown_a_hundred_rows_at_a_time(site: Site, page: Page) -> None:
    """By hour over weeks it would freeze the page otherwise; the keyboard turns the pages."""
    # given
    action_map, now = str(uuid.uuid4()), datetime.now(UTC)
    hours = [
        one
        for hour in range(250)
        for one in signals(action_map, f"v{hour}", "offered", at=now - timedelta(hours=hour))
    ]
    site.service.wait(site.service.record(hours).position)
    # when
    page.goto(f"{page.url.partition('?')[0]}?range=all&by=hour&zone=UTC&action_map={action_map}")
    page.get_by_label("A row for each").select_option("bucket")
    # then
    pager = page.locator("#pager")
    expect(pager).to_contain_text("Rows 1 to 100 of 250")
    expect(page.locator("#rows .rows tr")).to_have_count(100)
    for _ in range(2):
        pager.get_by_role("button", name="Next").press("Enter")
    expect(pager).to_contain_text("Rows 201 to 250 of 250")
    expect(page.locator("#rows .rows tr")).to_have_count(50)
    following = pager.get_by_role("button", name="Next")
    expect(following).to_be_disabled()
    expect(following).to_be_focused()  # Shift+Tab leads to Previous, not to the end of the page
    page.keyboard.press("Enter")
    expect(pager).to_contain_text("Rows 201 to 250 of 250")
    show_by(page, "month")
    expect(pager).to_be_hidden()


def test_an_error_stands_beside_the_field_and_dims_the_old_figures(page: Page) -> None:
    """Until the next answer."""
    page.get_by_label("Zone").fill("Mars")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_contain_text("zone: 'Mars' is not a time zone")
    expect(page.get_by_label("Zone")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Zone")).to_have_attribute("aria-describedby", "wrong")
    expect(page.locator("#live")).to_be_hidden()
    expect(page.locator("main.stale")).to_have_count(1)
    page.get_by_label("Zone").fill("UTC")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#wrong")).to_be_hidden()
    expect(page.locator("main.stale, [aria-invalid]")).to_have_count(0)


def test_a_report_that_would_be_too_large_gets_coarser_by_itself(page: Page) -> None:
    """Where the page has chosen the granularity; times that cannot be read leave the other figures alone."""
    problem = {"field": "by", "cause": "by hour gives more than 50,000 rows"}
    page.route("**/v1/reports/*by=hour*", lambda route: route.fulfill(status=400, json=problem))
    page.route("**/v1/reports/times*", lambda route: route.fulfill(status=400, json=problem))
    page.goto(f"{page.url.partition('?')[0]}?from=2025-03-10&to=2025-03-11&zone=UTC")
    expect(page.locator("#shown")).to_contain_text("by day")
    expect(page.locator("#times-wrong")).to_have_text("by: by hour gives more than 50,000 rows")
    show_by(page, "hour")
    expect(page.get_by_role("alert")).to_contain_text("more than 50,000 rows")
    expect(page.get_by_label("By", exact=True)).to_have_attribute("aria-invalid", "true")


def test_what_is_typed_while_the_page_loads_stays(site: Site, page: Page) -> None:
    """However late the list of maps comes; so does what the address says."""
    # given
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/action-maps", hold)
    page.goto(f"{site.url}/?by=month")
    expect(page.get_by_label("Zone")).not_to_have_value("")
    # when
    page.get_by_label("Zone").fill("Europe/Athens")
    with page.expect_response(lambda answer: "zone=Europe%2FAthens&by=month&view=full" in answer.url):
        held[-1].continue_()  # an earlier one may belong to the page that was left
    # then
    expect(page.get_by_label("Zone")).to_have_value("Europe/Athens")
    expect(page.locator("[name=by]")).to_have_value("month")


def test_the_page_says_that_it_is_busy(page: Page) -> None:
    """While an answer is awaited."""

    def delay(route: Route) -> None:
        page.wait_for_timeout(500)
        route.continue_()

    page.route("**/v1/reports/**", delay)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("main[aria-busy=true]")).to_have_count(1)
    expect(page.locator("main[aria-busy=true]")).to_have_count(0)


@pytest.mark.parametrize("path", ["/health", "/"])
def test_a_session_that_has_ended_leads_to_the_log_in_and_says_so(
    served_module: SharedService, site: Site, page: Page, path: str
) -> None:
    """A key that is revoked, here."""
    page.goto(site.url + path)
    expect(page.locator("#main")).not_to_have_attribute("aria-busy", "true")
    for key in site.service.keys.all(site.organization):
        served_module.site.service.keys.revoke(site.organization, key.id)
    if path == "/":
        with suppress(Error):  # the page may have found out by itself
            page.get_by_role("button", name="Show").click(timeout=2_000)
    page.get_by_role("heading", name="Log in").wait_for(timeout=20_000)
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended")
    page.reload()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_names_from_outside_change_neither_lines_nor_directions(site: Site, page: Page) -> None:
    """Controls and marks of direction are spelled out; joiners of emoji stay."""
    action_map, name = (
        str(uuid.uuid4()),
        "evil\u202egnp.exe\x1b[31m\x9b\u2028\u200b<b>x</b>\U0001f469\u200d\U0001f467",
    )
    site.service.wait(site.service.record(signals(action_map, "v", "offered", name=name)).position)
    page.goto(f"{page.url.partition('?')[0]}?range=all&action_map={action_map}")
    shown = "evil\\u202Egnp.exe\\u001B[31m\\u009B\\u2028\\u200B<b>x</b>\U0001f469\u200d\U0001f467"
    expect(page.locator("#rows .rows th")).to_have_text(shown)
    expect(page.locator("#chosen")).to_have_text(shown)
    page.get_by_role("link", name="Visitors").click()
    expect(page.locator(f"option[value='{action_map}']")).to_have_text(shown)


def test_the_visitors_page_answers_about_odd_customer_ids(site: Site, page: Page) -> None:
    """Every id that can be typed; the address holds it."""
    action_map = str(uuid.uuid4())
    ids = ["..", "%2F", "one\ntwo", "a/b?c#d\\e+f", "\U0001f600" * 256]
    offers = [line for one in ids for line in signals(action_map, one, "offered", "rejected")]
    site.service.wait(site.service.record(offers).position)
    page.get_by_role("link", name="Visitors").click()
    for customer in ids:
        page.get_by_label("Customer id").fill(customer)
        page.get_by_label("Action map", exact=True).select_option(action_map)
        page.get_by_label("Customer id").press("Enter")
        expect(page.locator("#events li")).to_have_count(2)
        expect(page.locator("#verdict")).to_have_text("Suppressed")
        expect(page.locator("#suppressed")).to_have_text("Suppressed for 1 of 1 action maps.")
        page.reload()
        expect(page.locator("#events li")).to_have_count(2)
        expect(page.get_by_label("Customer id")).to_have_value(customer)
    page.get_by_label("Kind of id").fill("crm")
    page.get_by_label("Action map", exact=True).select_option("")
    page.get_by_role("button", name="Look up").click()
    expect(page.locator("#unknown")).to_contain_text("This visitor has never been seen")
    expect(page.locator("#past")).to_be_hidden()
    page.go_back()  # to the visitor before
    expect(page.locator("#events li")).to_have_count(2)
    expect(page.locator("#unknown")).to_be_hidden()


def test_health_counts_all_refusals_and_lists_the_newest(site: Site, page: Page) -> None:
    """However many they are, and however long their texts."""
    long = b"\xff\x1b" * (MAX_LINE_BYTES // 2)
    site.service.record([b"no signal"] * 700)
    site.service.record([long])
    page.get_by_role("link", name="Health").click()
    expect(page.locator("#reasons tbody tr")).to_have_text(
        [re.compile("^malformed.*702$"), re.compile("^terminal_state.*10$")]
    )
    expect(page.locator("#refusals tbody tr")).to_have_count(100)
    expect(page.locator("#listed")).to_have_text(
        re.compile("^The newest 100 of 712, on the clocks of Asia/Kath?mandu.$")
    )
    newest = page.locator("#refusals tbody tr").first.locator("td").last.inner_text()
    assert newest.startswith("\\xff\\u001B")
    assert newest.endswith("(65,536 bytes)")
    assert page.evaluate("document.body.innerHTML.length") < 200_000
