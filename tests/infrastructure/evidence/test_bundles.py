"""Bundles: what is in them, what is not, and that DuckDB and the service count the same."""

import ast
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import pytest
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey

from offerlog_application.evidence.bundle_parts import BundlePlaceError, BundleRequest, LogChangedError
from offerlog_application.evidence.evidence import Evidence
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.sealed_tree import AuditKeyError, NotSealedError
from offerlog_application.reading.arrow import ExtraMissingError
from offerlog_domain.errors import ArgumentError
from offerlog_domain.metrics import METRICS, Cohort, CountBy, MetricSet
from offerlog_domain.transparency.errors import ProofError
from offerlog_domain.transparency.leaves import blank_sealed, split_state
from offerlog_domain.transparency.proof_files import InclusionFile
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.evidence import verify_bundle as alone
from offerlog_infrastructure.evidence.audit_key import public_file
from offerlog_infrastructure.evidence.bundle_papers import write_bundle
from support.bundles import END, START, ExportedLog, open_sealed
from support.journeys import an_id, journeys
from support.positions import number_of
from support.recount import rows

VERIFIER: Final = Path(alone.__file__)
PAGE: Final = Path(__file__).parents[3] / "docs" / "verifier.md"


def evidence_of(service: Offerlog) -> Evidence:
    """Return the evidence of a service over a store."""
    assert service.evidence is not None
    return service.evidence


def test_a_bundle_is_verified_by_the_file_alone_in_a_python_of_its_own(exported: ExportedLog) -> None:
    """Isolated, with `cryptography` alone: it imports nothing of offerlog, and nothing of the folder."""
    # given
    source = exported.folder / "verify_bundle.py"
    words = [sys.executable, "-I", str(source), str(exported.folder), *exported.words]
    # when
    run = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    # then
    assert source.read_bytes() == VERIFIER.read_bytes()
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.endswith("Every check passed. hidden: 21; whose they are is NOT shown\n")
    assert len(re.findall(r"^ok      the events add up to the report of", run.stdout, re.MULTILINE)) == 4
    assert run.stdout.count("leads to the root") == 2
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
        )
    }
    assert imported <= {*sys.stdlib_module_names, "cryptography"}


def test_other_organizations_are_hashes_alone_and_nobody_is_named(exported: ExportedLog) -> None:
    """The readable text of a bundle has no id of a visitor, session, action or signal."""
    # given
    lines = [json.loads(line) for line in (exported.folder / "events.ndjson").read_text().splitlines()]
    text = b"".join(one.read_bytes() for one in exported.folder.rglob("*") if one.is_file())
    # then
    shown = Counter(tuple(one) == ("index", "leaf") for one in lines)
    assert shown[True] == 21
    assert {one["organization"] for one in lines if one.get("state")} == {"shop"}
    for visitor in range(105):
        assert f"visitor-{visitor}".encode() not in text
        for private in (an_id("session", visitor), an_id("action", visitor, 1)):
            assert private.encode() not in text
            assert bytes.fromhex(private.replace("-", "")) not in text


def _reports(exported: ExportedLog) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((exported.folder / "report.json").read_text())["reports"]
    return found


def test_duckdb_counts_the_events_as_the_reports_do(exported: ExportedLog) -> None:
    """By the one query of docs/verifier.md, over both formats."""
    # given
    found = re.search(r"<!-- recount -->\n```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    sources = {
        "ndjson": found[1].replace("'events.ndjson'", f"'{exported.folder / 'events.ndjson'}'"),
        "parquet": re.sub(
            r"read_json\(.*?\}\)",
            f"(FROM '{exported.folder / 'events.parquet'}' SELECT * REPLACE (stream::VARCHAR AS stream))",
            found[1],
            flags=re.DOTALL,
        ),
    }
    for query in sources.values():
        for cohort in Cohort:
            # when
            time = "offered_at" if cohort is Cohort.OFFERED else "occurred_at"
            asked = query.replace("occurred_at >=", f"{time} >=").replace("occurred_at <", f"{time} <")
            values = {"organization": "shop", "start": START.isoformat(), "end": END.isoformat()}
            with duckdb.connect() as connection:
                counted = connection.execute(asked, values).fetchall()
            # then
            assert len(counted) > 10
            for place, count_by in ((2, CountBy.ACTIONS), (3, CountBy.VISITORS)):
                (report,) = [
                    one
                    for one in _reports(exported)
                    if (one["cohort"], one["count_by"]) == (cohort.value, count_by.value)
                ]
                claimed = {
                    (row["action_map_id"], metric): count
                    for row in report["rows"]
                    for metric, count in row["metrics"].items()
                    if count
                }
                assert claimed == {
                    (str(row[0]), f"nWebActions{row[1].capitalize()}"): row[place] for row in counted
                }


def test_the_claims_are_what_the_service_reports(exported: ExportedLog, module_dsn: str) -> None:
    """By the projection, which counts in tables; in the interval, and of all time."""
    with open_sealed(module_dsn, exported.key) as service:
        service.catch_up()
        for claimed in _reports(exported):
            query = ReportQuery(
                "shop",
                START,
                END,
                view=MetricSet.ALL,
                count_by=CountBy(claimed["count_by"]),
                cohort=Cohort(claimed["cohort"]),
            )
            made = service.report(query)
            assert [(row.action_map_id, dict(row.metrics)) for row in made.rows] == [
                (row["action_map_id"], row["metrics"]) for row in claimed["rows"]
            ]
    assert {*claimed["rows"][0]["metrics"]} == {*METRICS.values()}


def test_an_earlier_position_has_a_checkpoint_of_its_own(
    exported: ExportedLog, module_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All organizations disclosed, in a ZIP file."""
    # given
    place, query = tmp_path / "early.zip", ReportQuery("other")
    with open_sealed(module_dsn, exported.key) as service:
        # when
        request = BundleRequest(query, as_of=exported.middle + 5, discloses_all=True)
        made = write_bundle(evidence_of(service), request, place)
        # then
        assert made.contents.position == exported.middle + 5
        assert made.contents.withheld == 0
        with pytest.raises(NotSealedError, match="behind the last event"):
            write_bundle(
                evidence_of(service),
                BundleRequest(query, as_of=1, proved=(2,)),
                tmp_path / "other",
            )
        with pytest.raises(ArgumentError, match="position 2 holds an event of another organization"):
            write_bundle(evidence_of(service), BundleRequest(query, proved=(2,)), tmp_path / "other")
        with pytest.raises(ArgumentError, match="the log ends at position"):
            write_bundle(evidence_of(service), BundleRequest(query, as_of=10**9), tmp_path / "other")
    assert alone.main([str(place), *exported.words]) == 0
    assert "; none is hidden" in capsys.readouterr().out
    with zipfile.ZipFile(place, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("report.json", "{}")
    with pytest.raises(SystemExit, match="2"):
        alone.main([str(place), *exported.words])
    assert "files in the archive have one name" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["early.zip"]


def test_a_changed_log_is_not_exported_and_nothing_is_left_behind(
    dsn: str, tmp_path: Path, exported: ExportedLog
) -> None:
    """Neither half a bundle, nor a new file over an old one."""
    with open_sealed(dsn, exported.key) as service:
        service.record(journeys(20))
        evidence_of(service).catch_up()
        request = BundleRequest(ReportQuery("shop"))
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken" / "a file").write_text("kept")
        with pytest.raises(BundlePlaceError, match="is there already"):
            write_bundle(evidence_of(service), request, tmp_path / "taken")
        with pytest.raises(BundlePlaceError, match="No such file"):
            write_bundle(evidence_of(service), request, tmp_path / "no" / "folder")
        rows(dsn, "UPDATE offerlog_events SET topic = 'other.2' WHERE notification_id = 7")
        with pytest.raises(LogChangedError, match="at position 7 was changed; nothing was exported"):
            write_bundle(evidence_of(service), request, tmp_path / "bundle")
        rows(dsn, "DELETE FROM offerlog_events WHERE notification_id = 7")
        with pytest.raises(LogChangedError, match="at position 7 was inserted or deleted"):
            write_bundle(evidence_of(service), request, tmp_path / "bundle")
        rows(dsn, "UPDATE tree_tiles SET gaps = '\\x01' WHERE level = 0 AND n = 0")
        with pytest.raises(LogChangedError, match="the positions of tile/0/000 were changed"):
            write_bundle(evidence_of(service), request, tmp_path / "bundle")
        with pytest.raises(ProofError, match="the tile of the event at position 3 was changed"):
            evidence_of(service).prove(3)
    assert [one.name for one in tmp_path.rglob("*")] == ["taken", "a file"]


def test_an_independent_reader_of_tiles_finds_the_root_and_the_proofs(exported: ExportedLog) -> None:
    """The package `tlog-scales` reads the bundle as it reads any log in the layout of C2SP."""
    # given
    reader = TilesReader(LocalBackend(exported.folder))
    # when
    checkpoint = reader.get_checkpoint()
    # then
    checkpoint.verify(Vkey.from_string(public_file(exported.key).read_text().strip()))
    assert reader.calculate_root_hash() == checkpoint.root_hash
    proof = InclusionFile.parse((exported.folder / "proofs" / "1.tlog-proof").read_text())
    assert list(proof.hashes) == reader.get_inclusion_proof(0, checkpoint.size).node_hashes


def test_an_erased_visitor_leaves_the_bundle_as_it_was(
    dsn: str, tmp_path: Path, exported: ExportedLog
) -> None:
    """A bundle has the hashes of sealed parts alone. What is blanked without an erasure is not exported."""
    with open_sealed(dsn, exported.key) as service:
        # given
        last = number_of(service.record(journeys(7)).position)
        request = BundleRequest(ReportQuery("shop"), as_of=last)
        write_bundle(evidence_of(service), request, tmp_path / "before")
        ((state,),) = rows(dsn, "SELECT state FROM offerlog_events WHERE notification_id = 1")
        parts = split_state(state)
        assert parts is not None
        blanked = msgspec.msgpack.encode((msgspec.Raw(parts[0]), blank_sealed(parts[1])))
        rows(dsn, "UPDATE offerlog_events SET state = %s WHERE notification_id = 1", blanked)
        with pytest.raises(LogChangedError, match="at position 1 was blanked without an erasure"):
            write_bundle(evidence_of(service), request, tmp_path / "refused")
        # when
        for number in range(7):
            service.erase(customer_id=f"visitor-{number}")
        assert evidence_of(service).verify().is_whole
        write_bundle(evidence_of(service), request, tmp_path / "after")
    # then
    before, after = ((tmp_path / one / "manifest.json").read_text() for one in ("before", "after"))
    assert before == after
    assert alone.main([str(tmp_path / "after"), *exported.words[:2]]) == 0


def test_parquet_without_pyarrow_names_the_extra_and_leaves_nothing(
    dsn: str, tmp_path: Path, exported: ExportedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NDJSON needs no library."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    request = BundleRequest(ReportQuery("shop"))
    with open_sealed(dsn, exported.key) as service:
        with pytest.raises(ExtraMissingError, match="install offerlog with its extra parquet"):
            write_bundle(evidence_of(service), request, tmp_path / "bundle", with_parquet=True)
        assert [*tmp_path.iterdir()] == []
        write_bundle(evidence_of(service), request, tmp_path / "bundle")


def test_an_empty_log_has_a_bundle_and_a_log_without_a_key_has_none(
    dsn: str, tmp_path: Path, exported: ExportedLog
) -> None:
    """Its tree is the tree without events."""
    request = BundleRequest(ReportQuery("shop"))
    with open_sealed(dsn, exported.key) as service:
        write_bundle(evidence_of(service), request, tmp_path / "bundle", with_parquet=True)
    assert alone.main([str(tmp_path / "bundle"), *exported.words[:2]]) == 0
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False, audit_key=tmp_path / "none") as service,
        pytest.raises(AuditKeyError, match="keygen"),
    ):
        write_bundle(evidence_of(service), request, tmp_path / "other")
