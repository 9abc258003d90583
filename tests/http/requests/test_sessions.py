"""Sessions of the dashboard: whose they are, how many, how long, and how their cookie travels."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.http.requests import sessions
from offerlog_infrastructure.http.requests.rates import TokenBuckets
from support.http_site import Site

pytest_plugins = ("support.http_site",)


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


@contextmanager
def logged_in(site: Site, text: str) -> Iterator[httpx.Client]:
    """A browser that has logged in."""
    with httpx.Client(base_url=site.url, timeout=30) as browser:
        assert browser.post("/login", data={"key": text}).status_code == 303
        yield browser


def is_logged_in(browser: httpx.Client) -> bool:
    """Whether the browser still gets data."""
    return browser.get("/v1/projections").status_code == 200


def test_log_ins_of_one_key_end_nobody_elses_sessions(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred of them: its own oldest ones end."""
    monkeypatch.setattr(TokenBuckets, "take", lambda *_: True)
    text = site.key(Role.REPORTER, "beta")
    with (
        logged_in(site, site.key(Role.REPORTER, "alpha")) as other,
        logged_in(site, text) as first,
        httpx.Client(base_url=site.url, timeout=30) as client,
    ):
        for _ in range(100):
            client.cookies.clear()
            assert client.post("/login", data={"key": text}).status_code == 303
        assert is_logged_in(client)
        assert is_logged_in(other)
        assert not is_logged_in(first)


def test_log_ins_from_one_address_are_bounded(own_site: Site) -> None:
    """Good and bad ones; another address is let in."""
    text = own_site.key(Role.REPORTER)
    with httpx.Client(base_url=own_site.url, timeout=30) as client:
        found = [client.post("/login", data={"key": f"ofl_admin_{n:012x}_x"}).status_code for n in range(30)]
        assert set(found) == {401, 429}
        refused = client.post("/login", data={"key": text})
        assert (refused.status_code, refused.headers["retry-after"] in {"1", "2"}) == (429, True)
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=own_site.url, transport=transport, timeout=30) as elsewhere:
        assert elsewhere.post("/login", data={"key": text}).status_code == 303


def test_an_idle_session_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is used does not."""
    monkeypatch.setattr(sessions, "IDLE_SECONDS", 2.0)
    text = site.key(Role.REPORTER)
    with logged_in(site, text) as used, logged_in(site, text) as idle:
        for _ in range(6):
            time.sleep(0.5)
            assert is_logged_in(used)
        assert not is_logged_in(idle)


@pytest.mark.parametrize(
    ("host", "proto", "name", "secure"),
    [
        ("localhost:8000", "http", "offerlog_session", False),
        ("127.0.0.1:8000", "http", "offerlog_session", False),
        ("[::1]:8000", "https", "offerlog_session", True),
        ("offers.example.com", "https", "__Host-offerlog_session", True),
        ("127.0.0.1.example.com", "https", "__Host-offerlog_session", True),
    ],
)
def test_the_cookie_travels_over_tls_unless_the_host_is_loopback(
    site: Site, host: str, proto: str, name: str, *, secure: bool
) -> None:
    """And no other host can set it, nor a page of another path."""
    headers = {"Host": host, "X-Forwarded-Proto": proto}
    answer = httpx.post(f"{site.url}/login", data={"key": site.key(Role.REPORTER)}, headers=headers)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{name}=")
    assert ("; Secure" in cookie) is secure
    assert "; HttpOnly" in cookie
    assert "; Path=/" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "domain" not in cookie.lower()
    pair = cookie.partition(";")[0]
    assert httpx.get(f"{site.url}/v1/projections", headers=headers | {"Cookie": pair}).status_code == 200


def test_a_log_in_that_no_browser_would_keep_says_why(site: Site) -> None:
    """Plain HTTP from another machine: the page names what to set up."""
    headers = {"Host": "offers.example.com"}
    answer = httpx.post(f"{site.url}/login", data={"key": site.key(Role.REPORTER)}, headers=headers)
    assert answer.status_code == 403
    assert "needs HTTPS" in answer.text
    assert "OFFERLOG_TRUSTED_PROXIES" in answer.text
    assert "set-cookie" not in answer.headers
