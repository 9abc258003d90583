"""A report of the longest kind stops nobody else, neither while it is made nor while it is sent."""

from typing import Final

import httpx
import pytest

from offerlog_infrastructure.http.routes import reports
from support.loop_latency import TOLERABLE, watched
from support.recount import rows

pytest_plugins = ("support.http_site",)

# An offer a day for each of 50 maps, whose names are as long as they may be, and awkward to encode.
_COUNTS: Final = """
    INSERT INTO performance_days
    SELECT 'default', ('00000000-0000-4000-8000-' || lpad(map::text, 12, '0'))::uuid, 'event', 15000 + day,
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'webchat'
    FROM generate_series(1, 50) AS map, generate_series(1, 990) AS day
"""
_SLOTS: Final = _COUNTS.replace("performance_days", "performance_counts").replace(
    "15000 + day", "(15000 + day) * 96"
)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_report_of_fifty_thousand_rows_does_not_stop_the_loop(dsn: str, form: str) -> None:
    """It is encoded in slices, as one call for all of it would keep the interpreter's lock."""
    with watched(dsn) as (site, probe), site.client() as admin:
        rows(dsn, _COUNTS)
        rows(dsn, _SLOTS)
        answers: list[httpx.Response] = []
        asked = {"by": "day", "format": form}
        path = "/v1/reports/action-map-performance"
        blocked = probe.blocked_by(lambda: answers.append(admin.get(path, params=asked, timeout=60)))
        assert answers[0].status_code == 200, answers[0].text
        if form == "json":
            assert len(answers[0].json()["rows"]) == 49_500
        else:
            assert len(answers[0].text.splitlines()) == 49_501
        assert blocked < TOLERABLE


def test_a_report_that_would_be_too_long_is_refused(
    admin: httpx.Client, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bytes, whatever its form: an answer lies in memory until its client has read it."""
    monkeypatch.setattr(reports, "REPORT_BYTES", 20_000)
    for counts in (_COUNTS, _SLOTS):
        rows(dsn, counts.replace("990", "9"))
    for form in ("json", "csv"):
        asked = {"by": "hour", "format": form}
        answer = admin.get("/v1/reports/action-map-performance", params=asked)
        assert answer.status_code == 400, answer.text[:300]
        assert answer.json()["field"] == "by"
        assert "20,000 bytes" in answer.json()["detail"]
        assert admin.get("/v1/reports/action-map-performance", params=asked | {"by": "total"}).is_success
