"""The figures of content offers in real Chromium: no rate is 0 % where the media type cannot have it."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from support.http_site import Site
from support.journeys import an_id, signal

pytest_plugins = ("support.http_site", "support.pages.dashboard")

DAY = datetime(2025, 3, 10, 12, tzinfo=UTC)
NONE = "\u2013"


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


@pytest.fixture
def content(site: Site) -> None:
    """Content offers on two days, one of three and two of three accepted, of a map with a long name."""
    signals = []
    for visitor, accepted in ((100, (0,)), (200, (0, 1))):
        at = DAY - timedelta(days=visitor == 100)
        for number in range(3):
            for state in ("offered", *(["accepted"] if number in accepted else [])):
                more = {
                    "actionMediaType": "contentOffer",
                    "actionMapName": "Rückfragen zur Bestellung nach dem Kauf und zur Lieferung",
                    "createdDate": at.isoformat(),
                }
                one = signal(state, visitor=visitor + number, actionMapId=an_id("content"))
                signals.append({**one, **more})
    site.service.wait(site.service.record(signals).position)


@pytest.mark.usefixtures("content")
def test_content_offers_have_no_rates_of_chats(site: Site, page: Page) -> None:
    """Not in tiles, steps and table; the ends of chats are not there, and nothing is compared."""
    page.goto(f"{site.url}/?from=2025-03-10&to=2025-03-11&zone=UTC&media_type=contentOffer")
    tiles = page.locator("#tiles .tile")
    expect(tiles.filter(has_text="Accepted %")).to_contain_text("66.7 %▲ up 33.3 points")
    engaged = tiles.filter(has_text="Engaged %")
    expect(engaged.locator("dd")).to_have_text(NONE)
    expect(engaged.locator(".change")).to_have_count(0)
    expect(page.locator("#steps .note")).to_have_text(["", "66.7 % of offered", NONE, NONE])
    ends = page.locator("#ends .name")
    expect(ends).to_have_text(
        [
            "Accepted (content)",
            "Rejected at the invitation",
            "Ignored",
            "Errored",
            "Still open",
            "Lapsed",
            "All offers",
        ]
    )
    for row in ("#rows .totals tr", "#rows .rows tr"):
        expect(page.locator(f"{row} td").last).to_have_text(NONE)
        expect(page.locator(f"{row} td").nth(-2)).to_have_text("66.7 %")
    # beside chats, the rate of all is there, and that of the content's row is not
    page.goto(f"{site.url}/?from=2025-03-10&to=2025-03-11&zone=UTC")
    expect(page.locator("#rows .totals td").last).to_contain_text("%")
    expect(page.locator("#rows .rows tr").filter(has_text="Rückfragen").locator("td").last).to_have_text(NONE)
    expect(ends).to_have_count(11)
    # on the page of action maps too
    page.goto(f"{site.url}/action-maps?range=all&media_type=contentOffer")
    for row in ("#rows .totals tr", "#rows .rows tr"):
        expect(page.locator(f"{row} td").nth(-2)).to_have_text(NONE)


@pytest.mark.usefixtures("content")
def test_the_table_has_its_place_beside_its_trends(site: Site, page: Page) -> None:
    """A long name gives way; a laptop need not scroll for the last column."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{site.url}/?from=2025-03-10&to=2025-03-11&zone=UTC")
    expect(page.locator("#rows .trend .change").first).to_be_visible()
    box = page.locator(".scroll", has=page.locator("#rows"))
    assert box.evaluate("one => one.scrollWidth - one.clientWidth") == 0
