"""The commands funnel, blocked, times, visitor-offers and visitor --states, for people and for programs."""

import csv
import io
from pathlib import Path

import pytest

from support.command_line import CommandLine, an_id, signal_of
from support.journeys import blocked_event

MAP = "0a000000-0000-4000-8000-000000000001"


@pytest.fixture
def recorded(offerlog: CommandLine) -> CommandLine:
    """Three offers of a map: one engaged, one ignored and offered again, one that lapsed."""
    one, two, three, four = (an_id() for _ in range(4))
    name = {"actionMapName": "Checkout \x1b[31mhelp"}
    offerlog.judged(
        signal_of("offered", one, MAP, "2026-11-21T10:00:00Z", **name),
        signal_of("accepted", one, MAP, "2026-11-21T10:00:05Z"),
        signal_of("started", one, MAP, "2026-11-21T10:00:20Z"),
        signal_of("engaged", one, MAP, "2026-11-21T10:01:00Z"),
        signal_of("offered", two, MAP, "2026-11-21T11:00:00Z", customerId="v2"),
        signal_of("ignored", two, MAP, "2026-11-21T11:00:05Z", customerId="v2"),
        signal_of("offered", three, MAP, "2026-11-21T12:00:00Z", customerId="v2"),
        signal_of("offered", four, MAP, "2026-11-21T12:00:00Z", customerId="v3"),
    )
    return offerlog


def test_reports_for_people(recorded: CommandLine) -> None:
    """In words, without control characters of names; empty ranges say so."""
    funnel = recorded("funnel", "--from", "2026-11-21", "--to", "2026-11-22").text
    assert "Checkout \\x1b[31mhelp" in funnel
    ends = {" ".join(line.split()) for line in funnel.splitlines()}
    assert {
        "offered 3 100.0%",
        "accepted 1 33.3%",
        "ended: engaged 1 33.3%",
        "ended: ignored 1 33.3%",
    } <= ends
    assert "Rates: accepted 33.3%, engaged 100.0%, started of accepted 100.0%" in funnel
    assert "terminal_state" in recorded("blocked").text
    recorded.judged(blocked_event(1, 1, MAP, "FrequencyCapping"))
    left_out = "left out: 1 blocked offer of an unknown media type\n"
    assert left_out in recorded("blocked", "--media-type", "webchat").errors
    assert left_out not in recorded("blocked").errors
    assert "5.0 s" in recorded("times").text
    states = recorded("visitor", "--customer", "v2", "--states").text
    assert "ignored" in states
    assert "above 100 %" not in recorded("action-maps").text
    recorded.judged(signal_of("qualified", an_id(), MAP, "2026-11-21T12:00:00Z", customerId="v4"))
    assert "offered % is offered ÷ qualified: above 100 %" in recorded("action-maps").text
    assert "never been seen" in recorded("visitor", "--customer", "nobody", "--states").text


def test_reports_for_programs(recorded: CommandLine, tmp_path: Path) -> None:
    """Files by the end of their names, with the total last; the list line by line; a wrong call."""
    (tmp_path / "funnel.csv").symlink_to("funnels.csv")
    recorded("funnel", "--output", str(tmp_path / "funnel.csv"))
    header, row, total = csv.reader(io.StringIO((tmp_path / "funnel.csv").read_text(), newline=""))
    assert (row[0], total[0], header[2], row[2], total[2]) == (MAP, "", "offered", "3", "3")
    assert {one.name: one.is_symlink() for one in tmp_path.glob("f*")} == {
        "funnel.csv": True,
        "funnels.csv": False,
    }
    number = ("visitor-offers", "--action-map", MAP, "--metric")
    lines = recorded(*number, "offered", "--format", "json").lines
    assert {line["customer_id"] for line in lines} == {"v1", "v2", "v3"}
    newest = recorded("visitors", "--limit", "2", "--format", "json").lines
    assert newest == recorded("visitors", "--format", "json").lines[:2]
    assert newest[0]["position"] > newest[1]["position"]
    table = recorded("visitors", "--limit", "2").text.splitlines()
    assert [line.index(one["customer_id_type"]) for line, one in zip(table[1:], newest, strict=True)] == [
        table[0].index("visitor")
    ] * 2
    by_visitors = recorded(*number, "offered", "--count-by", "visitors", "--format", "json").lines
    assert by_visitors == lines
    assert "give cohort offered" in recorded.fails(*number, "rejected_at_form")


def test_versions_of_a_map_for_people_and_for_programs(recorded: CommandLine, tmp_path: Path) -> None:
    """By media type and by version, with the comparison in words; wrong calls name the option."""
    # given a second version of the map
    for n, state in enumerate(("accepted", "accepted", "rejected")):
        action, who = an_id(), {"customerId": f"w{n}", "actionMapVersion": 5}
        recorded.judged(
            signal_of("offered", action, MAP, "2026-11-21T13:00:00Z", **who),
            signal_of(state, action, MAP, "2026-11-21T13:00:05Z", **who),
        )
    recorded.judged(
        signal_of("offered", an_id(), MAP, "2026-11-21T13:00:00Z", customerId="x", actionMapVersion=4)
    )
    # when
    shown = recorded("action-maps", "--from", "2026-11-21", "--by-version").text
    # then
    assert "Checkout \\x1b[31mhelp" in shown
    assert (
        "Offers of version 5 are accepted 66.7 points more often than those of version 4;"
        " the 95 % interval from -" in shown
    )
    (row,) = recorded("action-maps", "--format", "json").json["rows"]
    assert (row["offered"], row["accepted"], row["engaged"], row["rejected"]) == (7, 3, 1, 1)
    assert "Nothing was counted there" in recorded("action-maps", "--to", "2026-11-01").text
    place = tmp_path / "versions.csv"
    recorded("export", "action-maps", str(place), "--by-version")
    header, *rows = csv.reader(io.StringIO(place.read_text(), newline=""))
    assert sorted(line[header.index("action_map_version")] for line in rows) == ["", "4", "5"]
    turned = recorded("action-maps", "--baseline", "5", "--format", "json").json["rows"]
    compared = {row["action_map_version"]: row["comparison"] for row in turned}
    assert (compared[None], compared[4]["baseline"], compared[5]) == (None, 5, None)
    assert "those that did: 4, 5" in recorded.fails("action-maps", "--baseline", "3")
    assert "those that did: 4, 5" in recorded.fails("export", "action-maps", str(place), "--baseline", "3")
    assert "engaged \u00f7 accepted is not compared: no accepted of the other version" in shown
    events = recorded("action-maps", "--baseline", "5", "--cohort", "event").text
    assert "Versions are compared by the time of the offer only" in events
