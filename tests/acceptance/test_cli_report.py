"""`offerlog report`: its formats, zones and questions."""

import csv
import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.command_line import CommandLine, an_id, signal_of

METRICS = [
    f"nWebActions{name}"
    for name in (
        *("Offered", "Accepted", "Rejected", "Started", "Abandoned", "Engaged"),
        *("Ignored", "Errored", "Timedout"),
    )
]
FIRST, SECOND = "0a000000-0000-4000-8000-000000000001", "0b000000-0000-4000-8000-000000000002"


@pytest.fixture
def recorded(offerlog: CommandLine) -> CommandLine:
    """Two maps over two days: one offer accepted and engaged, one ignored, one that errored twice."""
    name = {"actionMapName": 'Help, "now"'}
    one, two, three, four = (an_id() for _ in range(4))
    lines = offerlog.judged(
        signal_of("offered", one, FIRST, "2026-11-21T23:50:00Z", **name),
        signal_of("accepted", one, FIRST, "2026-11-21T23:59:59.999999Z", **name),
        signal_of("started", one, FIRST, "2026-11-22T00:00:00Z", **name),
        signal_of("engaged", one, FIRST, "2026-11-22T00:05:00Z", **name),
        signal_of("offered", two, FIRST, "2026-11-22T09:00:00Z", customerId="v2"),
        signal_of("ignored", two, FIRST, "2026-11-22T09:01:00Z", customerId="v2"),
        signal_of("offered", three, SECOND, "2026-11-22T10:00:00Z"),
        signal_of("errored", three, SECOND, "2026-11-22T10:00:01Z", errorCode=7),
        signal_of("offered", four, SECOND, "2026-11-22T10:02:00Z"),
    )
    assert {line["outcome"] for line in lines} == {"recorded"}
    return offerlog


def rows(answer: Any) -> list[tuple[str, str | None, dict[str, int]]]:
    """Map, bucket and what is not zero."""
    return [
        (row["action_map_id"], row["bucket"], {m: count for m, count in row["metrics"].items() if count})
        for row in answer["rows"]
    ]


def test_the_document(recorded: CommandLine) -> None:
    """Every key in its order; the report view has its six metrics, zeros too; null where there is no rate."""
    answer = recorded("report", "--format", "json")
    assert list(answer.json) == ["from", "to", "zone", "by", "rows"]
    assert [answer.json[name] for name in ("from", "to", "zone", "by")] == [None, None, "UTC", "total"]
    first, second = answer.json["rows"]
    assert list(first) == ["action_map_id", "action_map_name", "bucket", "metrics", "rates"]
    assert list(first["metrics"]) == METRICS[:6]
    assert first == {
        "action_map_id": FIRST,
        "action_map_name": 'Help, "now"',
        "bucket": None,
        "metrics": dict(zip(METRICS, (2, 1, 0, 1, 0, 1), strict=False)),
        "rates": {"accepted": 0.5, "engaged": 1.0},
    }
    assert (second["action_map_name"], second["rates"]) == (None, {"accepted": 0.0, "engaged": None})
    assert ": " not in answer.text.replace('Help, \\"now\\"', "")


def test_buckets_are_those_of_the_zone(recorded: CommandLine) -> None:
    """The same events, by day in UTC and in Kathmandu; `from` and `to` are resolved in the zone."""
    by_day = recorded("report", "--by", "day", "--view", "full", "--format", "json").json
    assert rows(by_day) == [
        (FIRST, "2026-11-21T00:00:00+00:00", {METRICS[0]: 1, METRICS[1]: 1}),
        (FIRST, "2026-11-22T00:00:00+00:00", {METRICS[0]: 1, METRICS[3]: 1, METRICS[5]: 1, METRICS[6]: 1}),
        (SECOND, "2026-11-22T00:00:00+00:00", {METRICS[0]: 2, METRICS[7]: 1}),
    ]
    nepal = ("--zone", "Asia/Kathmandu", "--by", "hour", "--format", "json", "--action-map", FIRST.upper())
    answer = recorded("report", *nepal, "--from", "2026-11-22", "--to", "2026-11-22T06:00").json
    assert (answer["from"], answer["to"]) == ("2026-11-22T00:00:00+05:45", "2026-11-22T06:00:00+05:45")
    assert rows(answer) == [
        (FIRST, "2026-11-22T05:00:00+05:45", dict.fromkeys([*METRICS[:2], METRICS[3], METRICS[5]], 1))
    ]


def test_visitors_and_cohorts(recorded: CommandLine) -> None:
    """Visitors are counted once; a cohort puts the funnel where its offer was."""
    visitors = recorded("report", "--count-by", "visitors", "--format", "json").json
    assert [row["metrics"][METRICS[0]] for row in visitors["rows"]] == [2, 1]
    cohort = ("report", "--cohort", "offered", "--by", "day", "--to", "2026-11-22", "--format", "json")
    assert rows(recorded(*cohort).json) == [
        (
            FIRST,
            "2026-11-21T00:00:00+00:00",
            dict.fromkeys([METRICS[0], METRICS[1], METRICS[3], METRICS[5]], 1),
        )
    ]


def test_csv(recorded: CommandLine) -> None:
    """A header, quotes where they are needed, empty where there is no bucket, name or rate."""
    text = recorded("report", "--format", "csv", "--view", "full").raw.decode()
    header, first, second = csv.reader(io.StringIO(text, newline=""))
    assert header == [
        *("action_map_id", "action_map_name", "bucket"), *METRICS, *("accepted_rate", "engaged_rate"),
    ]  # fmt: skip
    assert first == [FIRST, 'Help, "now"', "", *"210101100", "0.5", "1.0"]
    assert second == [SECOND, "", "", *"200000010", "0.0", ""]
    assert text.count("\r\n") == 3


def test_a_scheduled_report_is_a_file_and_prints_nothing(
    recorded: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the map's name, over a range relative to now; whole or not at all."""
    # given
    monkeypatch.chdir(tmp_path)
    range_ = ("--from", "2026-11-21", "--to", "2026-11-23", "--action-map", 'Help, "now"')
    # when
    (tmp_path / "kept.csv").write_bytes(b"of yesterday")
    answers = [recorded("report", *range_, "--output", "kept.csv")]
    answers.append(recorded("report", *range_, "--output", ".", "--format", "csv", "--bom"))
    answers.append(recorded("report", "--last", "2w", "--format", "json", "--output", "last"))
    # then
    assert [answer.raw for answer in answers] == [b""] * 3
    dated = tmp_path / "action-map-performance_2026-11-21_2026-11-23.csv"
    assert {file.name for file in tmp_path.iterdir()} == {"kept.csv", "last", dated.name}
    assert dated.read_bytes() == b"\xef\xbb\xbf" + (tmp_path / "kept.csv").read_bytes()
    _, only = csv.reader(io.StringIO((tmp_path / "kept.csv").read_text(), newline=""))
    assert only[:4] == [FIRST, 'Help, "now"', "", "2"]
    last = json.loads((tmp_path / "last").read_text())
    ends = [datetime.fromisoformat(last[end]) for end in ("from", "to")]
    assert ends[1] - ends[0] == timedelta(weeks=2)
    assert [one.isoweekday() for one in ends] == [1, 1]
    # and a name that two maps have is not guessed at
    recorded.judged(signal_of("offered", an_id(), SECOND, customerId="v9", actionMapName='Help, "now"'))
    assert f"give the id, {FIRST}, {SECOND}" in recorded.fails("report", "--action-map", 'Help, "now"')
    assert "did you mean" in recorded.fails("report", "--action-map", "Help, now", "--output", "kept.csv")
    assert len((tmp_path / "kept.csv").read_text().splitlines()) == 2


def test_the_table_is_for_people(recorded: CommandLine) -> None:
    """Aligned text without colour where no terminal is; names and ids; a dash where there is no rate."""
    answer = recorded("report")
    title, header, first, second = (line.rstrip() for line in answer.text.splitlines())
    assert title == "Action Map Performance: actions, in total, all time (UTC)"
    assert header.split()[:4] == ["action", "map", "Offered", "Accepted"]
    assert first.startswith(f'Help, "now" {FIRST} ')
    assert first.endswith("50.0%     100.0%")
    assert second.endswith(" 0.0%          \u2013")
    assert "\x1b" not in answer.text


def test_a_map_cannot_steer_the_terminal_with_its_name(offerlog: CommandLine) -> None:
    """What looks like markup is shown, what is a control character is spelt out."""
    name = "[/bold] \x1b[31mred\n[x]"
    offerlog.judged(signal_of("offered", an_id(), FIRST, actionMapName=name))
    assert f"[/bold] \\x1b[31mred\\n[x] {FIRST}" in offerlog("report").text
    assert json.loads(offerlog("report", "--format", "json").text)["rows"][0]["action_map_name"] == name


def test_an_empty_report_says_so(offerlog: CommandLine) -> None:
    """And the machine formats stay what they are."""
    assert "Nothing was counted there" in offerlog("report", "--from", "2026-01-01").text
    empty: dict[str, object] = {
        "from": "2026-01-01T00:00:00+00:00",
        "to": None,
        "zone": "UTC",
        "by": "total",
        "rows": [],
    }
    assert offerlog("report", "--from", "2026-01-01", "--format", "json").json == empty
    assert len(offerlog("report", "--format", "csv").text.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--zone", "Berlin"), "--zone 'Berlin' is not a time zone"),
        (("--from", "2026-11-22T10:07"), "--from '2026-11-22T10:07' is not on a quarter of an hour"),
        (("--from", "2026-03-29T02:30", "--zone", "Europe/Berlin"), "does not exist in Europe/Berlin"),
        (("--to", "soon"), "--to 'soon' is not a time: give a date (2026-03-29)"),
        (("--last", "7"), "--last '7' is not a number of hours, days, weeks or months: give 24h"),
        (("--from", "2026-11-22", "--to", "2026-11-22"), "--from must be before --to"),
        (("--action-map", "7"), "--action-map: '7' is neither the id nor the name of an action map"),
        (("--format", "xlsx"), "--format xlsx goes to a file: give --output"),
        (("--output", "report.txt"), "--output report.txt: give a name that ends with .json, .csv"),
        (("--by", "year"), "'year' is not one of 'total', 'hour', 'day', 'week', 'month'"),
        (("--proof", "--format", "csv"), "--proof has no place in CSV"),
    ],
)
def test_what_cannot_be_reported(offerlog: CommandLine, options: tuple[str, ...], error: str) -> None:
    """Wrong usage, in one line that names the option."""
    assert error in offerlog.fails("report", *options)
