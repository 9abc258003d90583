"""What analysts ask over HTTP: where offers end, what was blocked, times, who is behind a number, files."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC
from itertools import product
from typing import Any

import httpx
import openpyxl
import pytest
from pyarrow import parquet

from offerlog_application.ports.keys import Role
from support.http_site import Site
from support.journeys import an_id, blocked_event, signal

pytest_plugins = ("support.http_site",)

MAP, OTHER = an_id("map"), an_id("another map")
NAME = '=cmd|"/c calc"!A1'
PERFORMANCE = "/v1/reports/action-map-performance"
OFFERS = f"{PERFORMANCE}/visitor-offers"


FORMATS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}


def at(minute: int) -> str:
    """A time of the day of the journeys."""
    return f"2025-03-10T10:{minute:02}:00Z"


@pytest.fixture
def client(shared_site: Site) -> Iterator[httpx.Client]:
    """A reporter of an organization in which four visitors were offered two maps."""
    named: dict[str, Any] = {"actionMapName": NAME}
    signals = [
        *(
            signal(state, createdDate=at(n), **named)
            for n, state in enumerate(["offered", "accepted", "started"])
        ),
        signal("engaged", createdDate=at(5)),
        signal("offered", visitor=2, createdDate=at(1)),
        signal("accepted", visitor=2, createdDate=at(2)),
        signal("rejected", visitor=2, createdDate=at(3)),
        signal("offered", visitor=3, createdDate=at(1)),
        signal("offered", visitor=4, createdDate=at(1), actionMapId=OTHER, actionMapName="Help"),
        signal("ignored", visitor=4, createdDate=at(2), actionMapId=OTHER, actionMapName="Help"),
        signal("offered", visitor=4, action=2, createdDate=at(40), actionMapId=OTHER, actionMapName="Help"),
    ]
    receipt = shared_site.service.record(signals)
    shared_site.service.wait(receipt.position)
    with shared_site.client(Role.REPORTER) as client:
        yield client


def test_reports_of_one_media_type(client: httpx.Client, shared_site: Site) -> None:
    """Reports and lists; the answer says which, and what is left out; an unknown one is an error."""
    # given
    content: dict[str, Any] = {"visitor": 9, "actionMediaType": "contentOffer", "createdDate": at(1)}
    signals = [signal(state, **content) for state in ("offered", "accepted")]
    receipt = shared_site.service.record([*signals, blocked_event(1, 9, OTHER, "FrequencyCapping")])
    shared_site.service.wait(receipt.position)
    asked = {"media_type": "contentOffer"}
    # when
    performance = client.get(PERFORMANCE, params=asked).json()
    funnel = client.get("/v1/reports/funnel", params=asked).json()
    times = client.get("/v1/reports/times", params=asked).json()
    listed = client.get(OFFERS, params=asked | {"metric": "accepted"}).json()
    blocked = client.get("/v1/reports/blocked-offers", params=asked).json()
    # then
    assert [one["media_type"] for one in (performance, funnel, times, blocked)] == ["contentOffer"] * 4
    assert (blocked["total"]["blocked"], blocked["unknown_media_type"]) == (0, 1)
    assert "unknown_media_type" not in client.get("/v1/reports/blocked-offers").json()
    assert [row["metrics"]["nWebActionsAccepted"] for row in performance["rows"]] == [1]
    assert {end: count for end, count in funnel["total"]["ends"].items() if count} == {"accepted": 1}
    assert times["total"]["accepted"]["actions"] == 1
    assert [one["customer_id"] for one in listed["items"]] == ["visitor-9"]
    assert client.get("/v1/reports/funnel").json()["total"]["offered"] == 5
    assert client.get("/v1/reports/funnel", params={"media_type": "openAction"}).status_code == 400


def test_the_funnel_over_http(client: httpx.Client) -> None:
    """The ends add up to the offers; only the maps asked for; what is open is as of the minute."""
    # when
    found = client.get("/v1/reports/funnel", params={"from": "2025-03-10", "to": "2025-03-11"}).json()
    # then
    assert [found["from"], found["to"]] == ["2025-03-10T00:00:00+00:00", "2025-03-11T00:00:00+00:00"]
    assert found["as_of"].endswith(":00Z")
    by_map = {row["action_map_id"]: row for row in found["rows"]}
    assert by_map[MAP]["action_map_name"] == NAME
    assert {end: count for end, count in by_map[MAP]["ends"].items() if count} == {
        "engaged": 1,
        "rejected_at_form": 1,
        "open": 1,
    }
    assert [found["total"][step] for step in ("offered", "accepted", "started", "engaged")] == [4, 2, 1, 1]
    assert sum(found["total"]["ends"].values()) == 4
    assert (found["total"]["rates"]["accepted"], found["total"]["rates"]["engaged"]) == (0.5, 0.5)
    only = client.get("/v1/reports/funnel", params={"action_map": "Help"}).json()
    assert [row["action_map_id"] for row in only["rows"]] == [OTHER]
    none = client.get("/v1/reports/funnel", params={"last": "1d"}).json()
    assert (none["rows"], none["total"]["offered"], none["total"]["rates"]["accepted"]) == ([], 0, None)


def test_blocked_offers_and_times_over_http(client: httpx.Client) -> None:
    """By reason, visitors and sessions; median and p90 in seconds."""
    # when
    blocked = client.get("/v1/reports/blocked-offers").json()
    times = client.get("/v1/reports/times", params={"from": "2025-03-10"}).json()
    # then
    one = {"blocked": 1, "remembered": 1, "visitors": 1, "sessions": 1}
    assert blocked["total"] == one
    assert blocked["reasons"] == [{"reason": "terminal_state", **one}]
    assert blocked["rows"] == [
        {"action_map_id": OTHER, "action_map_name": "Help", "reason": "terminal_state", **one}
    ]
    assert times["method"] == "exact"
    assert times["total"] == {
        "accepted": {"actions": 2, "median": 60.0, "p90": 60.0},
        "started": {"actions": 1, "median": 120.0, "p90": 120.0},
        "engaged": {"actions": 1, "median": 300.0, "p90": 300.0},
    }
    assert [row["action_map_id"] for row in times["rows"]] == [MAP]


def test_from_a_number_to_its_visitor_offers(client: httpx.Client) -> None:
    """Page by page, as many as the number says; wrong numbers are named."""
    # when
    asked: dict[str, Any] = {"action_map": MAP, "metric": "nWebActionsOffered", "limit": 2}
    first = client.get(OFFERS, params=asked).json()
    second = client.get(OFFERS, params={**asked, "cursor": first["next_cursor"]}).json()
    # then
    assert (first["count"], len(first["items"]), second["next_cursor"]) == (3, 2, None)
    who = {one["customer_id"] for one in first["items"] + second["items"]}
    assert who == {"visitor-1", "visitor-2", "visitor-3"}
    visitors = client.get(OFFERS, params={"metric": "offered", "count_by": "visitors"}).json()
    assert (visitors["count"], len(visitors["items"])) == (4, 4)
    form = {"action_map": MAP, "metric": "rejected_at_form", "cohort": "offered"}
    (item,) = client.get(OFFERS, params=form).json()["items"]
    assert item == {
        "customer_id": "visitor-2",
        "customer_id_type": "cookie",
        "action_map_id": MAP,
        "action_number": 1,
        "state": "rejected",
        "at": "2025-03-10T10:03:00Z",
        "offered_at": "2025-03-10T10:01:00Z",
    }
    everywhere = client.get(OFFERS, params={"metric": "lapsed", "cohort": "offered"}).json()
    assert (everywhere["count"], everywhere["items"]) == (0, [])
    (open_,) = client.get(OFFERS, params={"metric": "open", "cohort": "offered"}).json()["items"]
    assert (open_["customer_id"], open_["state"]) == ("visitor-3", "offered")
    for wrong, field in (
        ({**form, "cohort": "event"}, "metric"),
        ({**form, "count_by": "visitors"}, "count_by"),
        ({**form, "metric": "sold"}, "metric"),
        ({**form, "action_map": "nobody's"}, "action_map"),
        ({**form, "cursor": "x"}, "cursor"),
        ({**form, "last": "7 days"}, "last"),
    ):
        problem = client.get(OFFERS, params=wrong)
        assert (problem.status_code, problem.json()["field"]) == (400, field)


def test_all_maps_of_a_visitor_over_http(client: httpx.Client) -> None:
    """With what was refused; a visitor never seen is told apart."""
    found = client.get("/v1/visitor-offers", params={"customer_id": "visitor-4"}).json()
    assert (found["known"], found["next_cursor"]) == (True, None)
    (item,) = found["items"]
    assert (item["state"], item["suppressed"], item["actions"], item["blocked_offers"]) == (
        "ignored",
        True,
        1,
        1,
    )
    nobody = client.get("/v1/visitor-offers", params={"customer_id": "nobody"}).json()
    assert (nobody["known"], nobody["items"]) == (False, [])


def test_recent_visitors_over_http(client: httpx.Client, shared_site: Site) -> None:
    """Page by page, with names of action maps; customer ids are for reporters."""
    # when
    first = client.get("/v1/visitors", params={"limit": 3}).json()
    second = client.get("/v1/visitors", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    # then
    found = {one["customer_id"]: one for one in first["items"] + second["items"]}
    assert (len(first["items"]), len(second["items"]), second["next_cursor"]) == (3, 1, None)
    assert set(found) == {f"visitor-{n}" for n in range(1, 5)}
    assert first["position"] == max(one["position"] for one in found.values())
    newest = found["visitor-4"]
    shown = (newest["event"], newest["state"], newest["action_map_name"], newest["occurred_at"])
    assert shown == ("offer-refused", "ignored", "Help", at(40))
    assert client.get("/v1/visitors", params={"cursor": "x"}).json()["field"] == "cursor"
    of_type = client.get("/v1/visitors", params={"media_type": "webchat"}).json()
    assert {one["customer_id"] for one in of_type["items"]} <= set(found)
    assert client.get("/v1/visitors", params={"media_type": "contentOffer"}).json()["items"] == []
    assert client.get("/v1/visitors", params={"media_type": "openAction"}).json()["field"] == "media_type"
    with shared_site.client(Role.SERVICE) as service:
        assert service.get("/v1/visitors").status_code == 403


@pytest.mark.parametrize(
    "report", ["funnel", "blocked-offers", "times", "action-map-performance", "action-maps"]
)
def test_a_report_is_a_file_in_three_formats(client: httpx.Client, report: str) -> None:
    """The same rows; named after its range; no name is a formula; unchanged answers are not sent again."""
    # when
    asked = {"from": "2025-03-10", "to": "2025-03-10T12:00"}
    files = {form: client.get(f"/v1/reports/{report}", params={**asked, "format": form}) for form in FORMATS}
    # then
    for form, answer in files.items():
        expected = f'attachment; filename="{report}_2025-03-10_2025-03-10T1200.{form}"'
        assert answer.headers["content-disposition"] == expected
        assert answer.headers["content-type"].startswith(FORMATS[form])
    header, *rows = csv.reader(io.StringIO(files["csv"].text, newline=""))
    table = parquet.read_table(io.BytesIO(files["parquet"].content))
    assert table.column_names == header
    assert table.num_rows == len(rows)
    page = openpyxl.load_workbook(io.BytesIO(files["xlsx"].content))["Report"]
    cells = list(page.iter_rows())
    assert [cell.value for cell in cells[0] if cell.value != "bucket_utc_offset"] == header
    assert len(cells) == len(rows) + 1
    names = {cell.value: cell.data_type for row in cells for cell in row if cell.column_letter == "B"}
    if report != "blocked-offers":
        assert names[NAME] == "s"  # text, not a formula
        assert any(row[1] == "'" + NAME for row in rows)
    marked = client.get(f"/v1/reports/{report}", params={**asked, "format": "csv", "bom": "true"})
    assert marked.content == b"\xef\xbb\xbf" + files["csv"].content
    assert (
        client.get(f"/v1/reports/{report}", params=asked, headers={"Accept": FORMATS["xlsx"]})
        .headers["content-type"]
        .startswith(FORMATS["xlsx"])
    )
    tag = client.get(f"/v1/reports/{report}", params=asked).headers["etag"]
    known = {"If-None-Match": tag}
    if report != "funnel":  # its tag changes with the minute
        assert client.get(f"/v1/reports/{report}", params=asked, headers=known).status_code == 304
    other = client.get(f"/v1/reports/{report}", params={"from": "2025-03-10"}, headers=known)
    assert other.status_code == 200


def test_times_of_a_workbook_are_dates(client: httpx.Client) -> None:
    """In the zone of the report; counts are numbers."""
    asked = {"by": "hour", "zone": "Asia/Kathmandu", "format": "xlsx"}
    found = client.get(PERFORMANCE, params=asked)
    page = openpyxl.load_workbook(io.BytesIO(found.content))["Report"]
    bucket, offset, offered = page["C2"], page["D2"], page["E2"]
    assert (bucket.is_date, offered.data_type) == (True, "n")
    assert (str(bucket.value), offset.value) == ("2025-03-10 15:00:00", "+05:45")


def test_the_hour_that_autumn_repeats_is_two_rows_in_every_file(shared_site: Site) -> None:
    """Excel knows no offsets, so they stand in a column beside the hour."""
    # given an offer in each of the two hours after two o'clock
    for number, time in enumerate(("00:30", "01:30")):
        created = f"2025-10-26T{time}:00Z"
        shared_site.service.record([signal("offered", visitor=50 + number, createdDate=created)])
    shared_site.service.catch_up()
    asked = {"by": "hour", "zone": "Europe/Berlin"}
    with shared_site.client(Role.REPORTER) as client:
        # when
        files = {form: client.get(PERFORMANCE, params={**asked, "format": form}).content for form in FORMATS}
    # then
    page = openpyxl.load_workbook(io.BytesIO(files["xlsx"]))["Report"]
    shown = [(str(row[2].value), row[3].value) for row in page.iter_rows(min_row=2)]
    assert shown == [("2025-10-26 02:00:00", "+02:00"), ("2025-10-26 02:00:00", "+01:00")]
    lines = list(csv.DictReader(io.StringIO(files["csv"].decode())))
    assert [one["bucket"] for one in lines] == ["2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00"]
    times = parquet.read_table(io.BytesIO(files["parquet"]))["bucket"].to_pylist()
    assert [one.astimezone(UTC).hour for one in times] == [0, 1]


def test_reports_are_packed_for_whoever_accepts_it(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON and CSV, with the tag of the plain answer; not what is packed in itself, nor what is short."""
    # given
    asked = {"from": "2025-03-10", "to": "2025-03-11"}
    short = client.get(PERFORMANCE, params=asked, headers={"Accept-Encoding": "gzip"})
    monkeypatch.setattr("offerlog_infrastructure.http.responses.packing._SHORTEST", 100)
    for path, form in product((PERFORMANCE, "/v1/reports/funnel"), ("json", "csv", "xlsx")):
        wanted = {**asked, "format": form}
        # when
        answers = [
            client.get(path, params=wanted, headers={"Accept-Encoding": encoding})
            for encoding in ("br, gzip;q=0.5", "*", "identity", "gzip;q=0")
        ]
        # then
        packed = [one.headers.get("content-encoding") for one in answers]
        assert packed == ([None] * 4 if form == "xlsx" else ["gzip", "gzip", None, None])
        assert form == "xlsx" or len({one.content for one in answers}) == 1
        (tag,) = {one.headers["etag"] for one in answers}
        assert tag.startswith("W/")
        known = {"If-None-Match": tag, "Accept-Encoding": "gzip"}
        unchanged = client.get(path, params=wanted, headers=known)
        assert (unchanged.status_code, "content-encoding" in unchanged.headers) == (304, False)
        assert "Accept-Encoding" in unchanged.headers["vary"]
    assert "content-encoding" not in short.headers
