"""GET /v1/timeline: everything that is known of a visitor, in pages or as lines."""

from typing import Any

import httpx
import pytest

from offerlog_application.ports.keys import Role
from support.http_site import Site
from support.journeys import an_id, signal

pytest_plugins = ("support.http_site",)


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def test_pages_and_lines_hold_the_same_entries(site: Site, admin: httpx.Client) -> None:
    """Each entry once, whatever the size of a page; refused signals among them, also behind the last."""
    # given events on three maps, and refusals before and after them
    unreadable = {"customerId": "visitor-1"}
    maps = [an_id("map", n) for n in range(3)]
    given: list[dict[str, Any]] = [unreadable]
    for n, one in enumerate(maps):
        given += [signal(state, actionMapId=one, action=n) for state in ("offered", "rejected")]
        given += [signal("offered", actionMapId=one, action=100 + n)]
    for sent in (*given, unreadable, signal("offered", visitor=2)):
        site.service.record([sent])
    asked = {"customer_id": "visitor-1"}
    # when
    lines = admin.get("/v1/timeline", params=asked, headers={"Accept": "application/x-ndjson"})
    pages: list[list[dict[str, Any]]] = []
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = admin.get("/v1/timeline", params={**asked, **more, "limit": "3"}).json()
        pages.append(page["items"])
        cursor = page["next_cursor"]
    # then
    entries = [entry for page in pages for entry in page]
    assert [len(page) for page in pages] == [3, 3, 3, 3, 2]
    assert len(lines.text.splitlines()) == len(entries) == 2 + 3 * 4
    assert [entry["kind"] for entry in entries[:5]] == [
        *("refused", "offered", "rejected", "offer-refused", "refused")
    ]
    assert entries[0]["action_map_id"] is None
    assert entries[4]["signal_bytes"] == len(entries[4]["signal"].encode())
    of_map = admin.get("/v1/timeline", params={**asked, "action_map_id": maps[1]}).json()["items"]
    assert of_map == [entry for entry in entries if entry["action_map_id"] == maps[1]]
    then = admin.get("/v1/timeline", params={**asked, "as_of": entries[1]["recorded_at"]}).json()["items"]
    assert then == entries[:2]
    words = ("yesterday", "now", "2026-11-22 10:00:00 02:00")
    found = [admin.get("/v1/timeline", params={**asked, "as_of": one}).json()["items"] for one in words]
    assert found == [[], entries, []]


def test_who_may_ask_and_for_whom(site: Site, admin: httpx.Client) -> None:
    """Reporters and admins, each in their organization."""
    site.service.record([signal("offered")])
    asked = {"customer_id": "visitor-1"}
    with site.client(Role.SERVICE) as service, site.client(Role.REPORTER, "other") as stranger:
        assert service.get("/v1/timeline", params=asked).status_code == 403
        assert stranger.get("/v1/timeline", params=asked).json() == {"items": [], "next_cursor": None}
    for wrong in ({"as_of": "soon"}, {"cursor": "x"}, {"action_map_id": "7"}, {"customer_id_type": ""}):
        assert admin.get("/v1/timeline", params={**asked, **wrong}).status_code == 400
    soon = admin.get("/v1/timeline", params={**asked, "as_of": "soon"}).json()
    assert (soon["field"], soon["cause"][:38]) == ("as_of", "'soon' is not a time: give 2026-11-22,")
    assert admin.get("/v1/timeline").json()["field"] == "customer_id"
