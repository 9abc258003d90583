"""The page of action maps in real Chromium: what the report says, and which version did better."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from offerlog import Cohort, ReportQuery
from offerlog_infrastructure.presentation.action_maps_documents import describe_action_maps_report
from support.http_site import Site
from support.journeys import an_id, signal

pytest_plugins = ("support.http_site", "support.pages.dashboard")

MAP = an_id("compared map")


@pytest.fixture
def site(shared_site: Site) -> Site:
    """An organization whose map offered 40 chats as version 3, and 40 as version 4, which did better."""
    signals = [
        signal(
            state,
            visitor=f"{version}-{n}",
            actionMapId=MAP,
            actionMapVersion=version,
            actionMapName="Help",
        )
        for version, accepted in ((3, 8), (4, 26))
        for n in range(40)
        for state in ("offered", "accepted" if n < accepted else "rejected")
    ]
    shared_site.service.wait(shared_site.service.record(signals).position)
    return shared_site


def cells(page: Page, name: str) -> list[str]:
    """The cells of the row with a text, with common spaces before units."""
    row = page.locator("#rows .rows tr").filter(has_text=name).first
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in row.locator("td").all_text_contents()]


def test_each_action_map_with_its_type(page: Page) -> None:
    """As the report counts; a number leads to its visitor-offers."""
    page.get_by_role("link", name="Action maps", exact=True).click()
    expect(page.locator("#shown")).to_contain_text("all time")
    expect(page.locator("#rows .rows tr")).to_have_count(4)
    assert cells(page, "Help") == [
        *("web chat", "0", "0", "80", "\N{EN DASH}", "34", "42.5 %", "0", "0.0 %", "46")
    ]
    expect(page.locator("#compared")).to_be_hidden()
    expect(page.locator("#over")).to_be_hidden()
    page.locator("#rows .rows tr").filter(has_text="Help").get_by_role("link", name="34").click()
    expect(page.locator("#count")).to_have_text("34 of 34 are listed.")


def test_a_version_that_did_better(page: Page, site: Site) -> None:
    """The difference with its interval and in words; with another baseline too; the address keeps it."""
    # when
    page.goto(f"{site.url}/action-maps")
    page.get_by_label("By version").check()
    # then
    rows = page.locator("#comparisons tbody tr")
    expect(rows.first).to_contain_text("4 against 3")
    expect(rows.first).to_contain_text("20.0 %65.0 %+45.0+23.6 to +61.0")
    expect(rows.first).to_contain_text(
        "Offers of version 4 are accepted 45.0 points more often than those of version 3;"
        " the 95 % interval from 23.6 to 61.0 excludes 0."
    )
    expect(rows.first.locator("svg.interval.better")).to_have_count(1)
    assert [cells(page, "Help")[place] for place in (1, 4)] == ["3", "40"]
    page.get_by_label("Compare each version with").select_option("version 4")
    expect(rows.first).to_contain_text("3 against 4")
    expect(rows.first.locator("svg.interval.worse")).to_have_count(1)
    assert page.url.endswith("by_version=true&baseline=4")
    page.reload()
    expect(rows.first).to_contain_text("3 against 4")
    page.get_by_label("Date of").select_option("event")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("Versions are compared by the offers made in this time")).to_be_visible()
    expect(rows).to_have_count(0)


def test_visitors_are_not_added_up(page: Page, site: Site) -> None:
    """A visitor may be in several rows; the sentences speak of visitors."""
    # when
    page.goto(f"{site.url}/action-maps?by_version=true&count_by=visitors&cohort=offered")
    # then
    expect(page.locator("#comparisons tbody tr").first).to_contain_text(
        "Visitors who were offered version 4 accept"
    )
    totals = page.locator("#rows .totals tr").first.locator("th, td").all_text_contents()
    assert set(totals[-9:]) == {"\N{EN DASH}"}


def test_small_differences_are_told_by_the_rule_of_the_sentences(page: Page, site: Site) -> None:
    """A figure that is not 0 does not read as 0, and none is a power."""
    # given
    report = site.service.analysis.action_maps_report(
        ReportQuery(site.service.organization, cohort=Cohort.OFFERED), by_version=True
    )
    changed = json.loads(json.dumps(describe_action_maps_report(report)))
    (compared,) = (row["comparison"] for row in changed["rows"] if row["comparison"])
    compared["accepted"] |= {"difference": 0.0002, "low": -1e-8, "high": 0.0025, "excludes_zero": False}
    page.route("**/v1/reports/action-maps?*", lambda route: route.fulfill(json=changed))
    # when
    page.goto(f"{site.url}/action-maps?by_version=true")
    # then
    row = page.locator("#comparisons tbody tr").first
    expect(row).to_contain_text("+0.02-0.000001 to +0.3")
    expect(row.locator("svg.interval.same")).to_have_count(1)


def test_offers_without_qualified_signals_explain_their_rate(page: Page, site: Site) -> None:
    """Given 80 offers and one signal that their map qualified, then Offered % says why it is above 100."""
    qualified = signal("qualified", visitor="other", actionMapId=MAP, actionMapName="Help")
    site.service.wait(site.service.record([qualified]).position)
    page.get_by_role("link", name="Action maps", exact=True).click()
    expect(page.get_by_text("Offered % is offered ÷ qualified: above 100 %")).to_be_visible()
    assert cells(page, "Help")[1:5] == ["1", "0", "80", "8000.0 %"]


def test_the_figures_follow_what_is_recorded(page: Page, site: Site) -> None:
    """And stay as they were asked for: another version comes into the table, and into the comparisons."""
    # given
    page.goto(f"{site.url}/action-maps?by_version=true")
    rows = page.locator("#comparisons tbody tr")
    expect(rows.filter(has_text="4 against 3")).to_have_count(3)
    # when
    fields: dict[str, Any] = {"actionMapId": MAP, "actionMapVersion": 5}
    site.service.record([signal(state, visitor="5-1", **fields) for state in ("offered", "accepted")])
    # then
    expect(rows.filter(has_text="5 against 4").first).to_be_visible(timeout=20_000)


def test_a_baseline_that_made_no_offer_can_be_chosen_anew(page: Page, site: Site) -> None:
    """An old address may name one; without versions there is none to choose."""
    # when
    page.goto(f"{site.url}/action-maps?by_version=true&baseline=9")
    # then
    chosen = page.get_by_label("Compare each version with")
    expect(page.locator("#wrong")).to_contain_text("baseline: version 9 made no offer there")
    expect(chosen).to_have_attribute("aria-invalid", "true")
    chosen.select_option("the version before")
    expect(page.locator("#comparisons tbody tr").first).to_contain_text("4 against 3")
    page.get_by_label("By version").uncheck()
    expect(chosen).to_be_hidden()


def test_a_wrong_filter_is_an_error_beside_its_field(page: Page, site: Site) -> None:
    """As on the page of the performance report."""
    page.goto(f"{site.url}/action-maps")
    page.get_by_label("From", exact=True).fill("soon")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#wrong")).to_have_text(re.compile("^from: 'soon' is not a time"))
    expect(page.get_by_label("From", exact=True)).to_have_attribute("aria-invalid", "true")
