"""`offerlog report --issue` and `offerlog audit reports | replay | explain`: from a number to its events."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from offerlog_infrastructure.composition import open_offerlog
from support.command_line import CommandLine, an_id, signal_of
from support.ready_stores import put_store


@pytest.fixture
def offerlog(cli_folder: Path) -> Iterator[CommandLine]:
    """The command over a separate store: a replay counts all events of a store."""
    store = cli_folder / "store"
    put_store(store)
    with open_offerlog(data=store, keep_deadlines=False, project=False):  # keeps the server running
        yield CommandLine(store, "default")


def test_a_report_that_was_given_out_is_replayed_and_explained(offerlog: CommandLine, tmp_path: Path) -> None:
    """By its position."""
    # given a report that was issued, and more events after it
    one, two, three, action_map = (an_id() for _ in range(4))
    offerlog.judged(
        signal_of("offered", one, action_map, "2026-11-22T10:00:00Z"),
        signal_of("errored", one, action_map, "2026-11-22T10:00:01Z"),
        signal_of("offered", two, action_map, "2026-11-22T10:20:00Z"),
    )
    issued = offerlog(
        "report", "--by", "hour", "--issue", "--issued-by", "an analyst", "--format", "json"
    ).json["issued"]
    offerlog.judged(
        signal_of("rejected", two, action_map, "2026-11-22T10:21:00Z"),
        signal_of("offered", three, an_id(), "2026-11-22T10:30:00Z"),
    )
    # when
    (listed,) = offerlog("audit", "reports", "--format", "json").lines
    replayed = offerlog("audit", "replay", "--as-of", str(issued["as_of_position"]), "--format", "json").json
    words = ("audit", "explain", "--action-map", action_map, "--metric", "offered")
    explained = offerlog(*words, "--from", "2026-11-22", "--format", "json").lines
    # then
    assert listed == issued
    assert issued["as_of_position"] >= 3  # an append that is tried again leaves positions empty
    assert issued["issued_by"] == "an analyst"
    (compared,) = replayed["reports"]
    assert (compared["equal"], compared["digest"]) == (True, issued["digest"])
    assert [one["events"] for one in replayed["projections"]] == [3, 3, 3]
    assert [one["event"] for one in explained[:2]] == ["offered", "offered"]
    assert explained[2] == {"position": explained[2]["position"], "count": 2, "events": 2, "equal": True}
    assert (
        offerlog(*words, "--to", "2026-11-22T10:15", "--limit", "0", "--format", "json").json["events"] == 1
    )
    assert "2 events as of position" in offerlog(*words).text
    assert "an analyst" in offerlog("audit", "reports").text
    assert "is the same" in offerlog("audit", "replay", "--as-of", str(issued["as_of_position"])).text
    for as_of, position in (("2", 2), ("2020-01-01", 0)):
        nothing = offerlog("audit", "replay", "--as-of", as_of, code=1)
        assert f"As of position {position}" in nothing.text
        assert "so nothing was compared" in nothing.errors
    beyond = "--as-of: the log ends before 99,999,999, at position"
    assert beyond in offerlog.fails("audit", "replay", "--as-of", "99999999")
    assert beyond in offerlog.fails(*words, "--as-of", "99999999")
    assert "is neither the id nor the name of an action map" in offerlog.fails(
        "audit", "explain", "--action-map", "nowhere", "--metric", "offered"
    )
    unknown = offerlog("audit", "explain", "--action-map", an_id(), "--metric", "offered")
    assert "is not in the log" in unknown.errors
    assert "is not in the log" not in offerlog(*words, "--limit", "0").errors
    assert "recorded as issued at position" in offerlog("report", "--issue").errors
    assert "--issued-by goes with --issue" in offerlog.fails("report", "--issued-by", "x")
    assert "--as-of 'soon' is not a time" in offerlog.fails("audit", "replay", "--as-of", "soon")
    # when a key signs
    audited = offerlog.with_settings(OFFERLOG_AUDIT_KEY=str(tmp_path / "audit.key"))
    audited("audit", "keygen", "--origin", "example.com/offers")
    audited(*words, "--proofs", str(tmp_path / "proofs"))
    # then each event has its proof
    proofs = sorted((tmp_path / "proofs").iterdir())
    positions = [one["position"] for one in explained[:2]]
    assert [file.name for file in proofs] == [f"{position}.tlog-proof" for position in positions]
    assert all(file.read_text().startswith("c2sp.org/tlog-proof@v1\n") for file in proofs)
