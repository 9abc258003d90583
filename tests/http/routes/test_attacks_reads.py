"""Attacks by reading: much is asked for, or nothing of it is taken. Others are served meanwhile."""

import csv
import io
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from offerlog_application.ports.keys import Role
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.identity import ActionMapId, VisitorKey
from offerlog_domain.metrics import Granularity
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.export import report_files
from offerlog_infrastructure.export.report_sheets import sheet_of_performance
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.routes import reports
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from offerlog_infrastructure.presentation.documents import describe_report
from support.crowds import crowded
from support.http_site import Site, served
from support.internals import application_of
from support.loop_latency import TOLERABLE, watched
from support.many_clients import Answer, ask_all, fresh_addresses, not_reading, request
from support.old_dates import OLD_DAYS, count_old_days
from support.scenario import signal

NDJSON = "application/x-ndjson"
REPORT = "/v1/reports/action-map-performance"
REFUSALS = "/v1/refusals?limit=10000"
CROWDED_MAP = str(uuid.UUID(int=5))
OLD_REFUSED_OFFERS = 20_000


@dataclass
class Found:
    """The answers that the attacker and another organization got, in every try."""

    attacker: list[Answer]
    other: list[Answer]

    def statuses(self) -> tuple[set[int], set[int]]:
        """Return the statuses of both."""
        return {one.status for one in self.attacker}, {one.status for one in self.other}

    def other_is_first(self) -> bool:
        """Return whether the other organization was answered before the attacker's last request was."""
        return max(one.seconds for one in self.other) < max(one.seconds for one in self.attacker)


def found_by(site: Site, attack: list[bytes], other: list[bytes]) -> Found:
    """All these requests at once, the other organization's behind the attacker's."""
    answers = ask_all(site, [*attack, *other])
    return Found(answers[: len(attack)], answers[len(attack) :])


@pytest.mark.parametrize(("form", "by"), [("json", "hour"), ("csv", "day")])
def test_reports_over_twenty_centuries_do_not_stop_the_loop(dsn: str, form: str, by: str) -> None:
    """Offers dated every 365 days, on several maps; another organization's report comes meanwhile."""
    # given a log that goes back to the first years
    for number in range(6):
        count_old_days(dsn, str(uuid.UUID(int=number + 1)))
    with watched(dsn) as (site, probe):
        key, other = site.key(Role.REPORTER), site.key(Role.REPORTER, "beta")
        attack = [request("GET", f"{REPORT}?by={by}&format={form}", key)] * 3
        found: list[Found] = []
        # when one organization asks for all of it several times
        blocked = probe.blocked_by(
            lambda: found.append(found_by(site, attack, [request("GET", REPORT, other)]))
        )
        # then all are answered, the other organization first, and the loop goes on
        assert [one.statuses() for one in found] == [({200}, {200})] * len(found)
        assert all(one.other_is_first() for one in found)
        assert min(answer.size for answer in found[0].attacker) > 300_000
        assert blocked < TOLERABLE


def test_a_report_is_encoded_in_slices(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is encoded in one piece keeps all threads waiting; the answer is that of the whole."""
    # given a report of some thousand rows, and a note of how many are encoded at a time
    for number in range(2):
        count_old_days(dsn, str(uuid.UUID(int=number + 1)))
    slices: list[int] = []

    def noted(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
        def note(made: Any) -> bytes:
            slices.extend([len(made)] if isinstance(made, list) else [])
            return encode(made)

        return note

    monkeypatch.setattr(reports, "encode_escaped", noted(encode_escaped))
    monkeypatch.setattr(report_files, "_encode_rows", noted(report_files._encode_rows))
    with served(dsn) as site, site.client() as admin, site.client(organization="beta") as beta:
        whole = site.service.report(ReportQuery("default", by=Granularity.DAY))
        # when it is asked for in each form, and one that has no rows
        document = admin.get(REPORT, params={"by": "day", "proof": "true"}).json()
        table = list(csv.reader(io.StringIO(admin.get(REPORT, params={"by": "day", "format": "csv"}).text)))
        empty = beta.get(REPORT).json()
    # then every row is there once, and in order
    assert document.pop("proof")["projection"] == "performance"
    assert document == describe_report(whole)
    sheet = report_files.csv_rows(sheet_of_performance(whole))
    assert table == [["" if one is None else str(one) for one in row] for row in sheet]
    assert empty["rows"] == []
    assert sum(slices) == 2 * len(whole.rows) + 1 == 2 * 2 * OLD_DAYS + 1  # and the header
    assert max(slices) <= 500


def test_clients_that_leave_their_reports_do_not_stop_the_loop(dsn: str) -> None:
    """Thirty of them, in the middle of it; the next report is answered."""
    for number in range(6):
        count_old_days(dsn, str(uuid.UUID(int=number + 1)))
    with watched(dsn) as (site, probe):
        key = site.key(Role.REPORTER)
        found: list[Answer] = []

        def attack() -> None:
            with not_reading(site, [request("GET", f"{REPORT}?by=hour", key)] * 30):
                time.sleep(0.3)
            found.extend(ask_all(site, [request("GET", REPORT, key)]))

        blocked = probe.blocked_by(attack)
        assert {one.status for one in found} == {200}
        assert blocked < TOLERABLE


def test_unreadable_lines_and_the_pages_that_show_them_do_not_stop_the_loop(dsn: str) -> None:
    """A hundred requests of a widget key with lines of 64 KB, and long pages of what is kept of them."""
    line = b"\x01" * 65_000 + b"\n"
    with watched(dsn) as (site, probe):
        sent: list[set[int]] = []

        def attack() -> None:
            key = site.key(Role.WIDGET)  # of which nothing is used up
            send = request("POST", "/v1/signals", key, line * 15, kind=NDJSON)
            sent.append({one.status for one in ask_all(site, [send] * 100, source=fresh_addresses())})

        blocked = probe.blocked_by(attack)
        assert sent == [{200}] * len(sent)
        assert blocked < TOLERABLE
        read = request("GET", REFUSALS, site.key())
        pages: list[Answer] = []
        blocked = probe.blocked_by(lambda: pages.extend(ask_all(site, [read] * 6)))
        assert {one.status for one in pages} == {200}
        assert min(one.size for one in pages) > 4_000_000
        assert blocked < TOLERABLE


def test_readers_that_do_not_read_do_not_stop_the_loop(dsn: str) -> None:
    """Twenty lists of tens of megabytes, each made as far as its client takes it."""
    with watched(dsn) as (site, probe):
        site.service.record([b"\x01" * 4_000] * 2_000)
        ask = request("GET", "/v1/refusals", site.key(), more=f"Accept: {NDJSON}\r\n")
        other = request("GET", REPORT, site.key(Role.REPORTER, "beta"))
        found: list[Answer] = []

        def attack() -> None:
            with not_reading(site, [ask] * 20) as readers:
                found.extend(ask_all(site, [other] * 5))
                time.sleep(1)
                assert all(one.recv(12) == b"HTTP/1.1 200" for one in readers)

        blocked = probe.blocked_by(attack)
        assert {one.status for one in found} == {200}
        assert blocked < TOLERABLE


def crowd(dsn: str) -> None:
    """Write one visitor-offer as an older version did, however often an offer was sent to it."""
    visitor = {"customer_id": "undefined", "action_map_id": CROWDED_MAP}
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        steps = [("offered", "a"), ("rejected", "a"), ("offered", "b")]
        service.record([signal(state, action, None, **visitor) for state, action in steps])
        log = PostgresLog(application_of(service))
        key = service._service.name(
            "default", VisitorKey("cookie", visitor["customer_id"]), ActionMapId(CROWDED_MAP)
        )
        offer = log.load([key])[key.id]
        (refused,) = offer.refused_offers
        position = log.append(crowded(refused, OLD_REFUSED_OFFERS, offer), ())
        service.wait(position)


def test_eligibility_at_a_crowded_visitor_offer_does_not_stop_the_loop(dsn: str) -> None:
    """Forty calls at a visitor-offer that 20,000 refused offers stand in, and signals to it."""
    crowd(dsn)
    with watched(dsn) as (site, probe):
        key = site.key()
        visitor = "/v1/visitors/undefined"
        attack = [request("GET", f"{visitor}/action-maps/{CROWDED_MAP}/eligibility", key)] * 40
        other = [request("GET", f"{visitor}/suppressions", site.key(organization="beta"))] * 5
        found: list[Found] = []
        blocked = probe.blocked_by(lambda: found.append(found_by(site, attack, other)))
        assert [one.statuses() for one in found] == [({200}, {200})] * len(found)
        assert blocked < TOLERABLE
        page = request("GET", f"{visitor}/action-maps/{CROWDED_MAP}/history", key)
        histories: list[Answer] = []
        blocked = probe.blocked_by(lambda: histories.extend(ask_all(site, [page] * 3)))
        assert {one.status for one in histories} == {200}
        assert blocked < TOLERABLE
