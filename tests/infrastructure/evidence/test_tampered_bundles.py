"""Each file of a bundle changed in each way: the verifier finds it, and names the file."""

import base64
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from stat import S_IFLNK, S_IFREG
from typing import Any, Final

import pytest

from offerlog_infrastructure.evidence import verify_bundle as alone
from support.bundles import ExportedLog, change_lines, list_again, public_of, sign_again

Change = Callable[[Path], object]
Events = list[dict[str, Any]]


@pytest.fixture
def bundle(exported: ExportedLog, tmp_path: Path) -> Path:
    """A copy of the bundle."""
    shutil.copytree(exported.folder, tmp_path / "bundle")
    return tmp_path / "bundle"


def verify(exported: ExportedLog, bundle: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the verifier."""
    code = alone.main([str(bundle), *exported.words])
    return code, capsys.readouterr().out


def in_line(place: int, **fields: Any) -> Change:
    """Change fields of an event."""
    return lambda folder: change_lines(folder, lambda events: events[place].update(fields))


def lines(change: Callable[[Events], object]) -> Change:
    """Change the list of events."""
    return lambda folder: change_lines(folder, change)


def replaced(name: str, old: str, new: str) -> Change:
    """Replace a text in a file, once."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of a file, or make it."""

    def write(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change(path.read_bytes() if path.exists() else b""))

    return write


def of_report(change: Callable[[Any], object], *, first: bool = True) -> Change:
    """Change the first report, or the whole document."""

    def write(folder: Path) -> None:
        document = json.loads((folder / "report.json").read_text())
        change(document["reports"][0] if first else document)
        (folder / "report.json").write_text(json.dumps(document, indent=1) + "\n")

    return write


def without(name: str) -> Change:
    """Remove a file."""
    return lambda folder: (folder / name).unlink()


def to_hash(events: Events) -> None:
    """Withhold an event that is counted, as if it were another organization's."""
    place = next(n for n, one in enumerate(events) if "10:20" in (one.get("occurred_at") or ""))
    events[place] = {"index": place, "leaf": alone.hash_leaf(events[place]).hex()}


def forge(events: Events) -> None:
    """Change the action map of an event: in the public part, and readable."""
    event = next(one for one in events if one.get("state") == "rejected")
    other = next(one for one in events if one.get("action_map_id") not in {None, event["action_map_id"]})
    old, new = (bytes.fromhex(one["action_map_id"].replace("-", "")) for one in (event, other))
    public = public_of(event).replace(old, new)
    event.update(action_map_id=other["action_map_id"], public=base64.b64encode(public).decode())


def no_counts(report: Any) -> Any:
    """Return a row of zeros for an action map that the log does not have."""
    return {"action_map_id": ELSE, "metrics": dict.fromkeys(report["rows"][0]["metrics"], 0)}


def to_float(report: Any) -> None:
    """Write a count as a fraction, which is equal."""
    metrics = report["rows"][0]["metrics"]
    metrics.update({name: float(count) for name, count in metrics.items()})


def in_capitals(events: Events) -> None:
    """Write a hash with capitals: the same bytes."""
    events[0]["sealed_sha256"] = events[0]["sealed_sha256"].upper()


def to_short_leaf(events: Events) -> None:
    """Cut a byte off the hash of a hidden event."""
    event = next(one for one in events if "leaf" in one)
    event["leaf"] = event["leaf"][:-2]


def other_extra(folder: Path) -> None:
    """Say that a proof is about another event of the same position."""
    path = folder / "proofs" / "1.tlog-proof"
    head, extra, rest = re.split(r"extra (\S+)", path.read_text())
    entry = bytearray(base64.b64decode(extra))
    entry[40] ^= 1
    path.write_text(f"{head}extra {base64.b64encode(entry).decode()}{rest}")


def other_signature(folder: Path) -> None:
    """Sign the checkpoint of a proof with anything."""
    path = folder / "proofs" / "1.tlog-proof"
    start, _, _ = path.read_text().rstrip("\n").rpartition(" ")
    path.write_text(f"{start} {base64.b64encode(bytes(68)).decode()}\n")


TILE: Final = "tile/0/000"
ELSE: Final = "0" * 8 + "-0000-8000-8000-" + "0" * 12
NOT_TILE: Final = f"{TILE}: not the hashes of events.ndjson at "
CHANGES: Final[dict[str, tuple[Change, str]]] = {
    "a state": (in_line(3, state="seen"), "line 4: state: not as the public part says"),
    "a time": (in_line(3, occurred_at="2025-03-10T10:00:01Z"), "line 4: occurred_at: not as"),
    "an organization": (in_line(3, organization="other"), "line 4: organization: not as"),
    "a position": (in_line(3, position=5), "line 5: event 4, position 5, does not follow"),
    "a version": (in_line(3, version=9), f"{NOT_TILE}[3]"),
    "a stream": (in_line(3, stream=ELSE), f"{NOT_TILE}[3]"),
    "a stream in another spelling": (in_line(3, stream=ELSE.replace("-", "")), "line 4: columns or stream"),
    "a topic": (in_line(3, topic="accepted.9"), "line 4: this verifier cannot read accepted.9"),
    "a topic without a state": (in_line(3, topic="nothing.2"), NOT_TILE),
    "the sealed part": (in_line(3, sealed_sha256="0" * 64), f"{NOT_TILE}[3]"),
    "an event, everywhere in its line": (lines(forge), NOT_TILE),
    "a line deleted": (lines(lambda events: events.pop(3)), "line 4: event 4, position 5, does not follow"),
    "a line repeated": (lines(lambda events: events.insert(3, events[3])), "line 5: event 3, position 4"),
    "two lines swapped": (lines(lambda events: events.insert(3, events.pop(4))), "line 4: event 4"),
    "the last line cut off": (lines(lambda events: events.pop()), "are not those of the checkpoint"),
    "a line added": (lines(lambda events: events.append(events[-1] | {"index": len(events)})), "does not"),
    "an event withheld": (lines(to_hash), "report.json: "),
    "another spelling": (replaced("events.ndjson", ',"', ', "'), "line 1: is not written in the one way"),
    "a field twice": (replaced("events.ndjson", '{"index":0,', '{"index":0,"index":0,'), "line 1: is not"),
    "no JSON": (bytes_of("events.ndjson", lambda data: b"{" + data), "events.ndjson, line 1: "),
    "no events": (bytes_of("events.ndjson", lambda _: b""), "these 0 events are not those"),
    "a tile": (bytes_of(TILE, lambda data: bytes([data[0] ^ 1]) + data[1:]), f"{NOT_TILE}[0]"),
    "a short tile": (bytes_of(TILE, lambda data: data[:-32]), f"{NOT_TILE}[255]"),
    "a long tile": (bytes_of(TILE, lambda data: data + b"\0"), f"{NOT_TILE}its end"),
    "an upper tile": (bytes_of("tile/1/000.p/1", lambda _: bytes(32)), "tile/1/000.p/1: not the hashes"),
    "one tile more": (bytes_of("tile/0/007", lambda _: bytes(8192)), "tile/0/007: does not belong"),
    "no tile": (without(TILE), NOT_TILE),
    "the size": (replaced("checkpoint", "offers\n", "offers\n1"), "of shop.example/offers is false"),
    "the name of the log": (replaced("checkpoint", "shop", "shoe"), "no given key has signed"),
    "a line more": (replaced("checkpoint", "\n\n", "\nmore\n\n"), "report.json cannot"),
    "the index of a proof": (replaced("proofs/1.tlog-proof", "index 0", "index 1"), "1.tlog-proof: does"),
    "an index without an event": (replaced("proofs/1.tlog-proof", "index 0", "index 999"), "1.tlog-proof"),
    "another kind of proof": (replaced("proofs/1.tlog-proof", "@v1", "@v2"), "1.tlog-proof: is not a proof"),
    "a proof of another log": (replaced("proofs/1.tlog-proof", "shop", "shoe"), "another checkpoint"),
    "a count": (of_report(lambda one: one["rows"][0]["metrics"].update(nWebActionsEngaged=9)), "report.json"),
    "a row left out": (of_report(lambda one: one["rows"].pop()), "report.json: "),
    "a row twice": (of_report(lambda one: one["rows"].append(one["rows"][0])), "report.json: "),
    "the interval": (of_report(lambda one: one.update({"from": None})), "report.json: "),
    "another organization": (of_report(lambda one: one.update(organization="other")), "report.json: "),
    "offers for events": (of_report(lambda one: one.update(cohort="offered")), "report.json: "),
    "as of another position": (of_report(lambda one: one.update(as_of=99999), first=False), "as of 99999"),
    "another number of events": (of_report(lambda one: one.update(events=10**9), first=False), "10000000"),
    "no reports": (of_report(lambda one: one.update(reports=[]), first=False), "report.json cannot be read"),
    "one report": (of_report(lambda one: one["reports"].pop(), first=False), "report.json: others"),
    "a report twice": (
        of_report(lambda one: one["reports"].append(one["reports"][0]), first=False),
        "others",
    ),
    "a number twice": (replaced("report.json", '"as_of": ', '"as_of": 1,\n "as_of": '), "in the one way"),
    "reports twice": (replaced("report.json", '"reports": [', '"reports": [],\n "reports": ['), "in the one"),
    "a field more": (of_report(lambda one: one.update(audited=True)), "report 1 has other rows"),
    "a field more in a row": (of_report(lambda one: one["rows"][0].update(share=1)), "report 1 has other"),
    "a row of zeros": (of_report(lambda one: one["rows"].append(no_counts(one))), "report 1 has other rows"),
    "a count as a fraction": (of_report(to_float), "report 1 has other rows"),
    "an interval between quarters": (
        of_report(lambda one: one.update({"from": "2025-03-10T10:14:59.999+00:00"})),
        "is not on a quarter-hour",
    ),
    "an index that is false": (in_line(0, index=False), "line 1: index, position, version or a hash"),
    "an index with a fraction": (in_line(0, index=0.0), "line 1: index, position, version or a hash"),
    "a version that is true": (in_line(0, version=True), "line 1: index, position, version or a hash"),
    "a position that is true": (in_line(0, position=True), "line 1: index, position, version or a hash"),
    "a hash in capitals": (lines(in_capitals), "line 1: index, position, version or a hash"),
    "a hidden leaf of 31 bytes": (lines(to_short_leaf), "index, position, version or a hash"),
    "an index far away": (in_line(3, index=8_999_999_999_999), "line 4: event 8999999999999, position"),
    "a proof without its event": (
        replaced("proofs/1.tlog-proof", "extra ", "extra: "),
        "1.tlog-proof: is not",
    ),
    "another event in a proof": (other_extra, "1.tlog-proof: does not lead"),
    "an index in another spelling": (replaced("proofs/1.tlog-proof", "index 0", "index  0_0 "), "is not a"),
    "a line without the word index": (
        replaced("proofs/1.tlog-proof", "index 0", "0"),
        "1.tlog-proof: is not",
    ),
    "another signature in a proof": (other_signature, "another checkpoint"),
}
"""Changes that are found although the manifest fits; and what is said of them."""


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found_and_named_though_the_manifest_fits(
    exported: ExportedLog, bundle: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever forges a file forges the manifest too."""
    # given
    change, expected = CHANGES[name]
    change(bundle)
    list_again(bundle)
    # when
    code, out = verify(exported, bundle, capsys)
    # then
    assert code == 1
    assert "ok      every file is the one" in out
    assert expected in out, out


@pytest.mark.parametrize("how", ["changed", "cut", "gone", "linked"])
def test_every_file_is_compared_with_the_manifest(exported: ExportedLog, bundle: Path, how: str) -> None:
    """The README, the verifier and the Parquet file as well, which nothing else checks."""
    names = {one.relative_to(bundle).as_posix() for one in bundle.rglob("*") if one.is_file()}
    assert {"README.md", "verify_bundle.py", "events.parquet", TILE, "checkpoint"} < names
    for name in names - {"manifest.json"}:
        # given
        file = bundle / name
        data = file.read_bytes()
        file.unlink()
        if how == "linked":
            file.symlink_to(exported.folder / name)
        elif how != "gone":
            file.write_bytes(data[:-1] if how == "cut" else bytes([data[0] ^ 1]) + data[1:])
        # when
        (fault,) = alone.check_manifest(alone.list_files(bundle))
        # then
        is_missing = how in {"gone", "linked"}
        words = "is missing" if is_missing else "is not the file that manifest.json lists"
        assert fault == f"{name}: {words}"
        file.unlink(missing_ok=True)
        file.write_bytes(data)
    (bundle / "more").write_text("more")
    assert [*alone.check_manifest(alone.list_files(bundle))] == ["more: is not listed in manifest.json"]


def test_the_name_of_a_file_cannot_write_to_the_terminal(
    exported: ExportedLog, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An escape sequence could paint over what was found."""
    (bundle / "\x1b[2Jmore").write_text("more")
    code, out = verify(exported, bundle, capsys)
    assert code == 1
    assert "FAILED  \\x1b[2Jmore: is not listed in manifest.json" in out
    assert "\x1b" not in out


def test_an_operator_who_rewrites_everything_is_found_by_an_older_checkpoint_alone(
    exported: ExportedLog, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tree, signature and manifest all fit: so keep a checkpoint, or ask a witness."""
    # given
    change_lines(bundle, forge)
    sign_again(bundle, exported.key)
    # when
    alone.main([str(bundle), *exported.words[:2]])
    alone_out = capsys.readouterr().out
    code, out = verify(exported, bundle, capsys)
    # then
    assert "ok      events, tiles and checkpoints are one tree" in alone_out
    size = exported.old.read_text().split("\n")[1]
    assert code == 1
    assert f"are not those of the checkpoint of {size}" in out


def test_an_older_checkpoint_must_be_signed_by_a_given_key(
    exported: ExportedLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of another log is no beginning of this one."""
    other = tmp_path / "other"
    other.write_text(exported.old.read_text().replace("shop.example", "shoe.example"))
    assert alone.main([str(exported.folder), *exported.words[:3], str(other)]) == 1
    assert "no given key has signed" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["summary.csv", "REPORT.JSON", "x/report.json", "proofs/1.txt"])
def test_only_the_files_of_a_bundle_are_vouched_for(
    exported: ExportedLog, bundle: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader could take any other file for one that was checked."""
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_text("engaged,99999")
    list_again(bundle)
    code, out = verify(exported, bundle, capsys)
    assert code == 1
    assert f"FAILED  {name}: no bundle has a file of this name" in out
    assert "NOT checked: ['README.md', 'events.parquet', 'verify_bundle.py']" in out


@pytest.mark.parametrize("name", ["README.md", "checkpoint", "events.ndjson", "report.json"])
def test_a_file_that_is_missing_is_named_though_the_manifest_fits(
    exported: ExportedLog, bundle: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever leaves a file out leaves it out of the manifest too."""
    (bundle / name).unlink()
    list_again(bundle)
    code, out = verify(exported, bundle, capsys)
    assert code == 1
    assert f"FAILED  {name}: is missing" in out


@pytest.mark.parametrize(
    "name", ["./report.json", "x/../report.json", "../../evil.sh", "/evil", "x\\y", "REPORT.JSON", "a link"]
)
def test_an_archive_that_unpacks_to_other_files_is_refused(
    exported: ExportedLog, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The unpacked numbers would not be those that were checked."""
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        archive.write(exported.folder / "report.json", "report.json")
        entry = zipfile.ZipInfo("tile" if name == "a link" else name)
        entry.external_attr = (S_IFLNK if name == "a link" else S_IFREG) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(SystemExit, match="2"):
        alone.main([str(tmp_path / "bundle.zip"), *exported.words])
    assert re.search("have one name, are links, or leave it: do not unpack", capsys.readouterr().err)


def test_hidden_events_are_not_said_to_be_of_other_organizations(
    exported: ExportedLog, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing in the bundle shows whose they are."""
    assert alone.main([str(exported.folder), *exported.words]) == 0
    out = capsys.readouterr().out
    assert out.endswith("Every check passed. hidden: 21; whose they are is NOT shown\n")
    assert alone.main([str(exported.folder), *exported.words, "--all-disclosed"]) == 1
    assert "FAILED   hidden: 21; whose they are" in capsys.readouterr().out
