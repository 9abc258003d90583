"""The Health page in real Chromium when the store cannot do its work."""

from typing import Never

import psycopg
import pytest
from playwright.sync_api import Page, expect

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.composition import SCHEMA
from support.http_site import Site
from support.journeys import signal
from support.recount import until

pytest_plugins = ("support.http_site", "support.pages.dashboard")


def test_the_health_page_says_why_nothing_can_be_written(
    site: Site, page: Page, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words of `/readyz`: a lock that is waited for, a full disk, a store that cannot be reached."""
    # given a table that somebody has locked, and a signal that waits for it
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as somebody:
        somebody.execute(b"LOCK TABLE offerlog_events IN SHARE MODE")
        waiting = site.service.submit([signal("offered", visitor="waits")])
        until(lambda: site.service.store_trouble() is not None)
        page.goto(f"{site.url}/health")
        expect(page.locator("#store")).to_contain_text(
            "some writes wait: the table offerlog_events is locked"
        )
    waiting.result(timeout=30)
    page.reload()
    expect(page.locator("#store")).to_have_text("Ready: signals and offers are recorded.")
    # when a write has found the disk full
    full = StoreUnavailableError("could not extend file", StoreTrouble.DISK_FULL)
    with monkeypatch.context() as patched:
        patched.setattr(site.service, "store_trouble", lambda: full)
        page.reload()
        expect(page.locator("#store")).to_have_text(f"Not ready: {full.summary}")
        expect(page.locator("#projections tbody tr")).to_have_count(3)

    # and when nobody can be asked who is logged in
    def gone(_: str) -> Never:
        raise StoreUnavailableError("host db.internal refused")

    with monkeypatch.context() as patched:
        patched.setattr(site.service.sessions, "find", gone)
        patched.setattr(site.service.sessions, "find_remembered", lambda _: None)
        patched.setattr(site.service.sessions, "find_kept", lambda _: None)
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("the store cannot be reached")
        assert "db.internal" not in page.content()
    # then the page is there again when it can be
    page.get_by_role("link", name="Try again").click()
    expect(page.locator("#store")).to_have_text("Ready: signals and offers are recorded.")
