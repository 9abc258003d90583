"""`offerlog shards`, and the other commands over several servers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offerlog.testing import SettableClock
from offerlog_domain.stream_ids import format_slices
from support.command_line import CommandLine, ndjson
from support.installations import make_stores, shard_of, without_password
from support.journeys import DAY, journeys, signal
from support.recount import rows


def test_several_servers_share_the_visitors(
    offerlog: CommandLine, make_dsn: Callable[[], str], tmp_path: Path
) -> None:
    """From an empty home to a report, by commands alone."""
    # given
    home, other = make_dsn(), make_dsn()
    command = offerlog.with_settings(OFFERLOG_DATABASE_URL=home, OFFERLOG_ORGANIZATION="default")
    assert command("shards", "status").text == "This store is the only one.\n"
    # when
    assert command("shards", "init").json == {"shard": 0, "slices": "0-f"}
    added = command("shards", "add", without_password(other), "--slices", "0-9")
    assert added.json == {"shard": 1, "slices": "0-9"}
    command("record", "-", given=b"\n".join(journeys(56)))
    # then the visitors are divided, and the report has all of them
    states = command("shards", "status", "--format", "json").lines
    assert [(one["slices"], one["state"]) for one in states] == [("a-f", "ok"), ("0-9", "ok")]
    assert all(one["visitors"] for one in states)
    assert sum(one["visitors"] for one in states) == 56
    (offered,) = rows(other, "SELECT count(*) FROM offerlog_events WHERE topic LIKE 'offered%'")
    (total,) = rows(home, "SELECT count(*) FROM offerlog_events WHERE topic LIKE 'offered%'")
    report = command("report", "--format", "json").json["rows"]
    assert sum(row["metrics"]["nWebActionsOffered"] for row in report) == offered[0] + total[0]
    assert command("serve", "--check", "--port", "0").text.endswith("ready, and stopped again\n")
    # and a projection is rebuilt and verified on each of them
    command("projections", "rebuild", "suppression")
    proofs = command("projections", "verify", "suppression", "--format", "json").lines
    assert [(one["projection"], one["differences"]) for one in proofs] == [
        ("suppression@0", []),
        ("suppression@1", []),
    ]
    # and a server that comes later gets its slices by moves
    third, (moving, rest) = make_dsn(), _choose_slice(other)
    assert command("shards", "add", without_password(third)).json == {"shard": 2, "slices": "-"}
    moved = command("shards", "move", moving, "--to", "2", "--steps").json
    assert (moved["slice"], moved["from"], moved["to"]) == (moving, 1, 2)
    of_nobody = {one["step"]: one["seconds"] for one in moved["steps"] if not one["has_owner"]}
    assert {"fence", "read the rest", "take", "commit"} < of_nobody.keys()
    assert sum(of_nobody.values()) == pytest.approx(moved["seconds_without_owner"], abs=0.002)
    listed = [one["slices"] for one in command("shards", "status", "--format", "json").lines]
    assert listed == ["a-f", rest, moving]
    assert command("report", "--format", "json").json["rows"] == report
    # and the logs are audited, moved events too
    verified = command("shards", "verify").json
    assert verified["faults"] == []
    assert [(one["shard"], one["whole"]) for one in verified["audits"]] == [
        (0, True),
        (1, True),
        (2, True),
    ]
    assert sum(one["events"] for one in verified["audits"]) > 56
    _check_analyses(command, report)
    slices = "a-f", rest, moving
    _check_restore(command, [make_dsn() for _ in range(3)], tmp_path / "backup", report, slices)
    # and wrong calls are usage errors
    assert "there are shards 0, 1, 2" in command.fails("audit", "keygen", "--shard", "9")
    assert "--slices" in command.fails("shards", "add", without_password(other), "--slices", "g")
    _check_one_is_away(command, home, other, rest, moving)
    # and a shard that does not own what the directory says is found
    rows(other, "UPDATE slices SET is_owned = false WHERE slice = 9")
    states = command("shards", "status", "--format", "json", code=3).lines
    assert states[1]["state"].startswith(f"owns the slices {rest.removesuffix('9')}")


def _choose_slice(shard: str) -> tuple[str, str]:
    """Return a slice of 0-9 that has a visitor and is not near an end, and the rest of 0-9."""
    found = rows(shard, "SELECT DISTINCT (token >> 60) & 15 FROM visitors ORDER BY 1")
    moving = next(int(number) for (number,) in found if 0 < number < 7)
    return f"{moving:x}", format_slices({*range(10)} - {moving})


def _check_one_is_away(command: CommandLine, home: str, other: str, missing: str, moving: str) -> None:
    """Check that a server that is away is named, and that a report without it must be asked for."""
    whole = command("report", "--format", "json").json["rows"]
    rows(home, "UPDATE shards SET url = 'postgresql://nobody@127.0.0.1:1/x' WHERE number = 1")
    shown = command("shards", "status", code=1).text.splitlines()
    assert shown[2].split() == ["1", "127.0.0.1:1/x", missing, "-", "unreachable"]
    assert shown[4].startswith("Shard 1: the store cannot be reached: connection failed")
    assert "shard 1: the store cannot be reached" in command.fails(
        "shards", "move", moving, "--to", "1", code=1
    )
    errors = command("report", code=1).errors  # one line, and no warning with the same cause before it
    assert errors.startswith(f"offerlog: shard 1 (slices: {missing})")
    assert errors.count("connection failed") == 1
    assert f"shard 1 (slices: {missing})" in command.fails("shards", "verify", code=1)
    partial = command("report", "--partial", "--format", "json").json
    assert partial["missing_slices"] == missing
    counted = [sum(row["metrics"]["nWebActionsOffered"] for row in one) for one in (partial["rows"], whole)]
    assert 0 < counted[0] < counted[1]
    assert f"visitors of the slices {missing} are missing" in command("report", "--partial").text
    assert "--partial goes with neither" in command.fails("report", "--partial", "--proof")
    rows(home, "UPDATE shards SET url = %s WHERE number = 1", without_password(other))


def _check_restore(
    command: CommandLine,
    targets: list[str],
    folder: Path,
    report: list[dict[str, Any]],
    slices: tuple[str, str, str],
) -> None:
    """Check that a backup of the three servers is restored into three others."""
    for one in targets:
        rows(one, "DROP SCHEMA offerlog CASCADE")
    made = command("backup", str(folder)).json
    assert [(one["shard"], one["slices"]) for one in made["servers"]] == [*enumerate(slices)]
    others = [word for one in targets[1:] for word in ("--shard", without_password(one))]
    target = command.with_settings(OFFERLOG_DATABASE_URL=targets[0])
    words = ("restore", str(folder), "--nobody-erased")
    assert f"in this order: 1 (slices: {slices[1]}), 2 (slices: {slices[2]})" in target.fails(*words)
    assert "leave the password out" in target.fails(*words, *others[:3], targets[2])
    part = str(next(folder.glob("shard-1-*")))
    alone = command.with_settings(OFFERLOG_DATABASE_URL="")
    assert "are restored together: give its folder" in alone.fails(
        "restore", part, "--data", str(folder.with_name("new")), "--nobody-erased", code=1
    )
    restored = target(*words, *others).json
    assert (restored["backup"], restored["erased_again"], restored["fork"]) == (made["id"], 0, False)
    assert target("report", "--format", "json").json["rows"] == report


def _check_analyses(command: CommandLine, report: list[dict[str, Any]]) -> None:
    """Check that analyses have all visitors of the three servers, as the report has."""
    offered = [row["metrics"]["nWebActionsOffered"] for row in report]
    funnel = command("funnel", "--format", "json").json
    assert funnel["total"]["offered"] == sum(offered)
    assert len(funnel["position"].split(".")) == 2  # the third server has recorded nothing so far
    assert command("times", "--format", "json").json["total"]["accepted"]["actions"] == 24
    assert command("blocked", "--format", "json").json["total"]["remembered"] == 8
    rows_of_maps = command("action-maps", "--format", "json").json["rows"]
    assert [row["offered"] for row in rows_of_maps] == offered
    kinds = command("events", "check", "--format", "json").lines
    assert sum(one["events"] for one in kinds if one["stored_as"].startswith("offered.")) == sum(offered)
    assert {one["stored_as"].partition("@")[2] for one in kinds} == {"0", "1", "2"}
    recent = command("visitors", "--limit", "60", "--format", "json").lines
    assert len({one["customer_id"] for one in recent}) == len(recent) == 56
    assert len(command("refusals").lines) == 8
    proof = command("report", "--proof", "--format", "json").json["proof"]
    assert (proof["position"], proof["events"]) == (funnel["position"], sum(one["events"] for one in kinds))
    assert f"{proof['events']:,} events, digest {proof['digest']}" in command("report", "--proof").text
    listed = command("visitor-offers", "--metric", "offered", "--format", "json").lines
    assert len(listed) == sum(offered)


def test_a_command_does_not_need_a_server_that_hangs(
    offerlog: CommandLine, make_dsn: Callable[[], str]
) -> None:
    """As long as it asks for none of its visitors."""
    with make_stores(make_dsn, "8-f") as stores:
        with stores.open() as service:
            service.record([signal("offered", visitor=n) for n in range(20)])
            visitor = next(n for n in range(20) if shard_of(service, n) == 0)
        command = offerlog.with_settings(
            OFFERLOG_DATABASE_URL=stores.dsns[0], OFFERLOG_ORGANIZATION="default"
        )
        # when
        stores.proxy.swallow()
        # then
        assert command("keys", "list").raw == b""
        command("record", "-", given=ndjson(signal("rejected", visitor=visitor)))


def test_each_server_archives_its_own_visitors(
    offerlog: CommandLine, make_dsn: Callable[[], str], tmp_path: Path
) -> None:
    """One command for all. A server that is down is named, and the others go on."""
    pytest.importorskip("pyarrow", reason="the extra archive is not installed")
    folder = tmp_path / "archive"
    older = "archive", "--older-than", "90d", "--format", "json"
    with make_stores(make_dsn, "8-f") as stores:
        # given old events and newer ones on each of two servers
        with stores.open(clock=SettableClock(DAY.replace(hour=12))) as service:
            service.record(journeys(56))
        command = offerlog.with_settings(
            OFFERLOG_DATABASE_URL=stores.dsns[0],
            OFFERLOG_ORGANIZATION="default",
            OFFERLOG_AUDIT_KEY=str(tmp_path / "audit.key"),
        )
        new = [signal("offered", visitor=f"new {n}", createdDate=None) for n in range(30)]
        command("record", "-", given=b"\n".join(json.dumps(one).encode() for one in new))
        report = command("report", "--format", "json").text
        # when one of them is down
        stores.proxy.go_away()
        partial = command(*older, "--folder", str(folder), code=1)
        # then
        assert "offerlog: shard 1: nothing more was moved: shard 1 (slices: 8-f)" in partial.errors
        assert [one["shard"] for one in partial.lines] == [0]
        assert [*folder.rglob("*.parquet")]
        assert not (folder / "shard-1").exists()
        # when it is back
        stores.proxy.come_back()
        done = command(*older, "--folder", str(folder)).lines
        # then
        assert [(one["shard"], one["archive"]) for one in done] == [
            (0, str(folder)),
            (1, str(folder / "shard-1")),
        ]
        assert all(one["archived_events"] > 20 for one in done)
        assert (done[0]["events"], done[1]["events"]) == (0, done[1]["archived_events"])
        assert command("report", "--format", "json").text == report
        assert [one["shard"] for one in command(*older).lines] == [0, 1]
        # and each has a checkpoint of its own; where one cannot be kept, those of the others are shown
        for shard in ("0", "1"):
            command("audit", "keygen", "--origin", f"shop.example/{shard}", "--shard", shard)
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept-shard-1").touch()
        signed = command("audit", "checkpoint", "--to", str(tmp_path / "kept"), code=1)
        assert signed.text.startswith("shop.example/0\n")
        assert "shop.example/1" not in signed.text
        assert "offerlog: shard 1:" in signed.errors
        _check_former_keys(command, tmp_path)


def _check_former_keys(command: CommandLine, folder: Path) -> None:
    """Check that `shards verify` knows what signed before, and where, by the options of `audit verify`."""
    later = command.with_settings(OFFERLOG_AUDIT_KEY=str(folder / "audit-shard-1.key"))  # not the home's
    (folder / "kept-shard-1").unlink()
    outside = "--checkpoints", str(folder / "kept")
    assert "kept-shard-1 holds no checkpoint" in later.fails("shards", "verify", *outside, code=1)
    command("audit", "checkpoint", *("--to", str(folder / "kept")))
    keys = [folder / f"{name}.key.pub" for name in ("audit", "audit-shard-1")]
    vkeys = [word for key in keys for word in ("--vkey", str(key))]
    verified = later("shards", "verify", *vkeys, *outside).json
    sums = [(one["signatures_checked"], one["checkpoints_outside"]) for one in verified["audits"]]
    assert (verified["faults"], sums) == ([], [(True, 1), (True, 1)])
