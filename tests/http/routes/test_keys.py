"""Keys over HTTP: who may make, see and revoke them, what a wrong request is told, and the end of a key."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.clock import SystemClock
from support.http_site import Site

pytest_plugins = ("support.http_site",)


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def bearer(text: str) -> dict[str, str]:
    """The header with a key."""
    return {"Authorization": f"Bearer {text}"}


def test_a_key_is_made_listed_and_revoked(site: Site, admin: httpx.Client) -> None:
    """Its text is shown once, and cached nowhere. A key of another organization is not there."""
    # when
    asked = {"role": "widget", "name": "shop", "origins": ["https://shop.example"], "expires": "90d"}
    answer = admin.post("/v1/keys", json=asked)
    made = answer.json()
    # then
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    text = made.pop("key")
    assert text.startswith(f"ofl_widget_{made['id']}_")
    ends_in = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < ends_in < timedelta(days=90)
    assert made | asked == made | {"expires": "90d"}
    used = httpx.post(f"{site.url}/v1/signals", json={}, headers=bearer(text))
    assert used.status_code == 200
    listed = admin.get("/v1/keys")
    assert listed.json()["keys"][1:] == [made]
    assert text.rpartition("_")[2] not in listed.text
    # and when
    stranger = site.service.keys.create("elsewhere", Role.REPORTER, "")[0].id
    assert admin.delete(f"/v1/keys/{stranger}").status_code == 404
    revoked = admin.delete(f"/v1/keys/{made['id']}").json()
    # then
    assert revoked["revoked_at"] is not None
    assert admin.delete(f"/v1/keys/{made['id']}").json() == revoked
    assert httpx.post(f"{site.url}/v1/signals", json={}, headers=bearer(text)).status_code == 401


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"role": "king"}, "role"),
        ({"role": "reporter", "name": "two\nlines"}, "name"),
        ({"role": "reporter", "origins": ["https://shop.example/"]}, "origins"),
        ({"role": "widget"}, "origins"),
        ({"role": "widget", "origins": ["https://shop.example"], "any_origin": True}, "any_origin"),
        ({"role": "reporter", "expires": "soon"}, "expires"),
        ({"role": "reporter", "expires": "2001-01-01"}, "expires"),
        ({"role": "reporter", "expires": "99999w"}, None),
        ({"role": "reporter", "expiry": "90d"}, "expiry"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(admin: httpx.Client, wrong: object, field: str | None) -> None:
    """No key is made then."""
    answer = admin.post("/v1/keys", json=wrong)
    assert (answer.status_code, answer.json().get("field")) == ((400, field) if field else (201, None))
    assert len(admin.get("/v1/keys").json()["keys"]) == (1 if field else 2)


def test_a_session_manages_keys_by_its_own_pages_alone(site: Site) -> None:
    """The cookie of a browser allows no change without the token that only our pages hold."""
    # given
    with httpx.Client(base_url=site.url, timeout=30) as browser:
        assert (
            browser.post("/login", data={"key": site.key(), "page": "/keys"}).headers["location"] == "/keys"
        )
        token = re.search(r'name="csrf" value="([^"]+)"', browser.get("/keys").text)[1]  # type: ignore[index] # it is there
        asked = {"role": "reporter"}
        # then
        for header in ({b"X-Other": b"x"}, {b"X-CSRF-Token": b"x"}, {b"X-CSRF-Token": b"\xe9"}):
            refused = browser.post("/v1/keys", json=asked, headers=header)
            assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
        made = browser.post("/v1/keys", json=asked, headers={"X-CSRF-Token": token})
        assert made.status_code == 201
        assert browser.delete(f"/v1/keys/{made.json()['id']}").status_code == 403
        assert browser.get("/v1/keys").json()["keys"][-1]["revoked_at"] is None
        # a session of a reporter sees no keys
        browser.cookies.clear()
        browser.post("/login", data={"key": made.json()["key"]})
        assert browser.get("/keys").status_code == browser.get("/v1/keys").status_code == 403
        assert 'href="/keys"' not in browser.get("/health").text


def test_an_expired_key_is_told_when_it_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everywhere, also where it was remembered, and in a session that it has begun."""
    # given
    key, text = site.service.keys.create(
        site.organization, Role.REPORTER, "", expires_at=datetime.now(UTC) + timedelta(hours=1)
    )
    with httpx.Client(base_url=site.url, timeout=30) as browser:
        browser.post("/login", data={"key": text})
        assert browser.get("/v1/projections").status_code == 200
        assert httpx.get(f"{site.url}/v1/projections", headers=bearer(text)).status_code == 200
        # when
        later = datetime.now(UTC) + timedelta(hours=2)
        monkeypatch.setattr(SystemClock, "now", lambda _: later)
        # then
        assert key.expires_at is not None
        ended = f"{key.expires_at:%Y-%m-%d at %H:%M UTC}"
        why = f"this key expired on {ended}; ask an administrator for a new one"
        refused = httpx.get(f"{site.url}/v1/projections", headers=bearer(text))
        assert (refused.status_code, refused.json()["detail"]) == (401, why)
        assert browser.get("/v1/projections").status_code == 401
        assert why.removeprefix("this key") in browser.post("/login", data={"key": text}).text
