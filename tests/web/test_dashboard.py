"""The dashboard in real Chromium: what it shows is what the API says, and nobody is shut out of it."""

import json
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from offerlog_application.ports.keys import Role
from support.http_site import Site
from support.journeys import journeys

pytest_plugins = ("support.http_site", "support.pages.dashboard")

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
PAGES = ("/", "/visitors", "/health")


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def test_it_shows_what_the_report_says(site: Site, page: Page) -> None:
    """The table row by row, the funnel in sum, in the browser's own zone."""
    asked = {"by": "day", "zone": "Asia/Kathmandu"}
    with site.client() as client:
        rows = client.get("/v1/reports/action-map-performance", params=asked).json()["rows"]
    expect(page.locator("#rows tbody tr")).to_have_count(len(rows))
    first = page.locator("#rows tbody tr").first.locator("th, td").all_text_contents()
    assert first[1:8] == [rows[0]["bucket"][:10], *map(str, rows[0]["metrics"].values())]
    offered = sum(row["metrics"]["nWebActionsOffered"] for row in rows)
    expect(page.locator("#funnel .step").first).to_contain_text(str(offered))
    expect(page.locator("#course canvas")).to_be_visible()
    page.locator("[name=by]").select_option("hour")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#rows tbody tr").first).to_contain_text("+05:45")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert Path(download.value.path()).read_text().startswith("action_map_id,")
    page.get_by_label("Zone").fill("Mars")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_contain_text("zone: 'Mars' is not a time zone")
    expect(page.locator("#live")).to_be_hidden()


def test_the_chart_goes_by_the_clocks_of_the_report(page: Page) -> None:
    """Not by the browser's, which stand at three quarters when those of UTC strike."""
    page.goto(f"{page.url.partition('?')[0]}?by=hour&zone=UTC")
    page.locator("#course .u-over").hover()
    expect(page.locator("#course .u-legend .u-value").first).to_have_text(re.compile(":00[ap]m$"))


def test_some_maps_and_an_address_to_pass_on(site: Site, page: Page) -> None:
    """What is chosen stands in the page's address: reloaded, or opened by a colleague, it shows the same."""
    with site.client() as client:
        names = [one["action_map_id"] for one in client.get("/v1/action-maps").json()["action_maps"]]
    assert len(names) > 2
    page.get_by_text("Action maps").click()
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
    expect(page.locator("#rows tbody tr")).to_have_count(2)
    shown, address = page.locator("#rows").inner_text(), page.url
    page.reload()
    expect(page.locator("#rows tbody tr")).to_have_count(2)
    assert page.locator("#rows").inner_text() == shown
    page.get_by_role("button", name="Log out").click()
    page.goto(address)
    page.get_by_label("Key of a reporter or an admin").fill(site.key(Role.REPORTER))
    page.keyboard.press("Enter")
    expect(page.locator("#chosen")).to_have_text("2 of them")
    expect(page.locator("#rows tbody tr")).to_have_count(2)
    assert (page.url, page.locator("#rows").inner_text()) == (address, shown)


def test_numbers_move_while_one_looks(site: Site, page: Page) -> None:
    """No reload: the stream tells that something has changed."""
    before = page.locator("#funnel .step").first.text_content() or ""
    expect(page.locator("#live")).to_contain_text("live")
    site.service.record(journeys(140)[210:])
    expect(page.locator("#funnel .step").first).not_to_have_text(before)


def test_why_an_offer_is_suppressed(page: Page) -> None:
    """The reason in words, and the timeline, stepped through."""
    page.get_by_role("link", name="Visitors").click()
    line = json.loads(journeys(1)[0])
    page.get_by_label("Customer id").fill(line["customerId"])
    page.get_by_label("Action map").select_option(line["actionMapId"])
    page.get_by_role("button", name="Look up").click()
    expect(page.locator("#verdict")).to_have_text("It must not be offered.")
    expect(page.locator("#why")).to_contain_text("engaged since")
    expect(page.locator("#events li")).to_have_count(4)
    page.get_by_label("As it was after event").press("ArrowLeft")
    expect(page.locator("#state")).to_have_text("3: started")
    expect(page.locator("#events li[data-later]")).to_have_count(1)


def test_health(page: Page) -> None:
    """How far the projections are, and what was refused."""
    page.get_by_role("link", name="Health").click()
    expect(page.locator("#projections tbody tr")).to_have_count(3)
    expect(page.locator("#reasons tbody tr")).to_have_text(["terminal_state10", "malformed1"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_nobody_is_shut_out(site: Site, page: Page, path: str, scheme: str) -> None:
    """No serious finding of axe, in light and dark."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(site.url + path)
    page.wait_for_load_state("load")
    page.wait_for_timeout(500)
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert [
        (one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}
    ] == []


def test_the_keyboard_reaches_everything(page: Page) -> None:
    """The first stop leads past the navigation; every control has its turn."""
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
    assert {
        "from",
        "to",
        "zone",
        "by",
        "Action maps all",
        "count_by",
        "cohort",
        "Show",
        "Log out",
    } <= reached


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
        ("nonsense", 401, "not known"),
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
