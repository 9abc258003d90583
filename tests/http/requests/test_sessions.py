"""Sessions of the dashboard: whose they are, how many, how long, and how their cookie travels."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.http.requests.rates import TokenBuckets
from support.http_site import Site, served
from support.recount import rows

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


def test_a_session_is_open_in_every_process_and_survives_a_restart(dsn: str) -> None:
    """It ends in all of them within a second or so of the log-out, and of the end of its key."""
    with served(dsn) as second:
        # given
        with served(dsn) as first:
            text, other_text = first.key(Role.ADMIN), first.key(Role.REPORTER)
            with logged_in(first, text) as browser, logged_in(first, other_text) as other:
                cookies = [dict(one.cookies) for one in (browser, other)]
        # when
        with served(dsn) as restarted:
            sites = (restarted, second)
            found = [httpx.get(f"{one.url}/keys", cookies=cookies[0]) for one in sites]
            # then
            tokens = [re.findall('name="csrf" value="([^"]+)"', one.text) for one in found]
            assert tokens[0] == tokens[1] != []
            assert tokens[0][0] not in cookies[0].values()
            assert all(status_at(one, cookies[1]) == 200 for one in sites)
            # when
            wrong = httpx.post(f"{second.url}/logout", cookies=cookies[0], data={"csrf": tokens[0][0][:-1]})
            ended = httpx.post(f"{second.url}/logout", cookies=cookies[0], data={"csrf": tokens[0][0]})
            restarted.service.keys.revoke("default", other_text.split("_")[2])
            # then
            assert (wrong.status_code, ended.status_code, status_at(second, cookies[0])) == (403, 303, 401)
            time.sleep(1.2)
            assert {status_at(one, cookie) for one in sites for cookie in cookies} == {401}
    stored = json.dumps(rows(dsn, "TABLE dashboard_sessions"), default=repr)
    assert not any(value in stored for cookie in cookies for value in cookie.values())


def status_at(site: Site, cookies: dict[str, str]) -> int:
    """The status of an answer with data."""
    return httpx.get(f"{site.url}/v1/projections", cookies=cookies).status_code


def test_made_up_cookies_are_not_all_looked_up(own_site: Site) -> None:
    """An open session from the same address goes on."""
    with logged_in(own_site, own_site.key(Role.REPORTER)) as browser:
        found = {status_at(own_site, {"offerlog_session": f"made-up-{n}"}) for n in range(150)}
        assert found == {401, 429}
        time.sleep(1.1)
        assert is_logged_in(browser)


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
