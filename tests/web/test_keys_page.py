"""The page of keys in real Chromium: an admin makes a key, sees it once, and revokes it."""

import json
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from support.http_site import Site

pytest_plugins = ("support.http_site", "support.pages.dashboard")

AXE = Path(__file__).parent / "vendor" / "axe.min.js"


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def test_an_admin_makes_a_key_and_revokes_it(site: Site, page: Page) -> None:
    """The key is shown once and works; whoever reads the list later does not see it."""
    # given
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Key of a reporter or an admin").fill(site.key())
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Keys").click()
    # when a widget key names no site
    page.get_by_label("Role").select_option("widget")
    page.get_by_role("button", name="Make the key").click()
    # then
    expect(page.get_by_role("alert")).to_contain_text("origins: a widget key is for the pages of a site")
    # when
    page.get_by_label("Role").select_option("reporter")
    page.get_by_label("Name").fill("<b>audit</b>")
    page.get_by_role("button", name="Make the key").click()
    # then
    expect(page.get_by_role("heading", name="The new key")).to_be_focused()
    text = page.get_by_label("Key", exact=True).input_value()
    headers = {"Authorization": f"Bearer {text}"}
    assert httpx.get(f"{site.url}/v1/projections", headers=headers).status_code == 200
    row = page.locator("#keys tbody tr").filter(has_text="<b>audit</b>")
    expect(row).to_contain_text("valid")
    page.evaluate(AXE.read_text())
    assert json.dumps(page.evaluate("axe.run()")["violations"]) == "[]"
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    # when
    page.reload()
    assert text not in page.content()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke <b>audit</b>").click()
    # then
    expect(row).to_have_count(0)
    page.get_by_label("Show keys that were revoked").check()
    expect(row).to_contain_text("revoked")
    assert httpx.get(f"{site.url}/v1/projections", headers=headers).status_code == 401
