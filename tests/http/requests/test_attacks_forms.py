"""Attacks on the log-in form, which takes bytes from people who have no key."""

import gzip

import httpx
import pytest

from support.http_site import Site
from support.loop_latency import TOLERABLE, watched

pytest_plugins = ("support.http_site",)

PACKED = {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("field", [b"a=%41&", b"a=b&", b"&"])
def test_a_packed_form_is_refused_before_any_work(dsn: str, field: bytes) -> None:
    """Twelve kilobytes that unpack to 8 MiB: one clear refusal, and others are served meanwhile."""
    bomb = gzip.compress(field * ((8 << 20) // len(field)))
    with watched(dsn) as (site, probe):
        answers: list[int] = []

        def attack() -> None:
            answer = httpx.post(f"{site.url}/login", content=bomb, headers=PACKED, timeout=60)
            answers.append(answer.status_code)

        assert probe.blocked_by(attack) < TOLERABLE
        assert set(answers) == {415}


def test_a_long_form_is_refused(site: Site) -> None:
    """By bytes, whether it says its length or comes in chunks, and by fields; what a browser sends passes."""
    for body in (b"a=" + b"x" * 4095, iter([b"a=" + b"x" * 4095])):
        assert httpx.post(f"{site.url}/login", content=body).status_code == 413
    assert httpx.post(f"{site.url}/login", content=b"a=b&" * 17).status_code == 400
    form = {"key": site.key(), "page": "/visitors?customer_id=" + "x" * 2_000}
    assert httpx.post(f"{site.url}/login", data=form).status_code == 303
