"""The page on analytics: its Python runs over exports and a replay, and counts what the report counts."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.slices import SliceBounds
from offerlog_application.reading.exports import ExportRequest
from offerlog_application.reading.report_table import tabulate_performance
from offerlog_domain.metrics import Cohort, Granularity
from offerlog_infrastructure.export.export_format import ExportFormat
from offerlog_infrastructure.export.formats import open_writer
from offerlog_infrastructure.replaying.slice_files import SliceTask, write_slice
from support.journeys import journeys
from support.preloaded import preloaded_code

pytest.importorskip("pyarrow")

RESULTS = """
import json
counts = funnel.reset_index()[["action_map_id", "offered", "accepted", "started", "engaged"]]
print(json.dumps({
    "funnel": counts.values.tolist(),
    "ends": sorted(ends.unique()),
    "hours": rates.select("offered", "accepted").sum().row(0),
    "report": hours.select("nWebActionsOffered", "nWebActionsAccepted").sum().row(0),
    "times": [list(row) for row in times.fetchall()],
    "blocked": [list(row) for row in blocked.fetchall()],
    "erased": len(actions) - len(merged),
    "recount": recount.fetchall(),
    "gaps": gaps.fetchall(),
    "sizes": sizes.fetchall(),
    "at_rest": at_rest.fetchall(),
    "arrow": by_day.num_rows,
}))
"""


def write_slices(offerlog: Offerlog, folder: Path) -> None:
    """Write the files of a replay; the page does not read the manifest."""
    assert offerlog.slices is not None
    for low, high in offerlog.slices.all()[0].divide(1_000):
        path = folder / f"slice={low.int >> 124:02}" / f"{low.hex}.parquet"
        write_slice(path, SliceTask({}, {}, ""), offerlog.slices.all()[0].read(SliceBounds(low, high), 2**62))


def test_the_page_counts_what_the_report_counts(
    offerlog: Offerlog, dsn: str, tmp_path: Path, root: Path
) -> None:
    """One process for the whole page; the libraries take long to load."""
    # given
    offerlog.record(journeys(70))
    offerlog.erase(customer_id="visitor-1", customer_id_type="cookie")
    offerlog.catch_up()
    by_hour = ReportQuery("default", by=Granularity.HOUR, cohort=Cohort.OFFERED)
    for name in ("events", "actions", "hours"):
        with (tmp_path / f"{name}.parquet").open("wb") as file:
            if name == "hours":
                columns, rows = tabulate_performance(offerlog.report(by_hour))
                batches = iter([rows])
            else:
                made = getattr(offerlog.exports, name)(ExportRequest())
                columns, batches = made.columns, (batch.rows for batch in made.batches)
            with open_writer(ExportFormat.PARQUET, columns, file) as writer:
                for batch in batches:
                    writer.write(batch)
    write_slices(offerlog, tmp_path / "replay")
    page = (root / "docs" / "analytics.md").read_text()
    code = "".join(re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    # when
    ran = subprocess.run(
        preloaded_code(code + RESULTS),
        cwd=tmp_path,
        env={**os.environ, "OFFERLOG_DATABASE_URL": dsn},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # then
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    report = offerlog.report(ReportQuery("default", cohort=Cohort.OFFERED))
    metrics = ("Offered", "Accepted", "Started", "Engaged")
    counted: list[list[Any]] = [
        [row.action_map_id, *(row.metrics[f"nWebActions{one}"] for one in metrics)] for row in report.rows
    ]
    assert found["funnel"] == counted
    sums = [sum(row[place] for row in counted) for place in (1, 2)]
    assert found["hours"] == found["report"] == sums
    assert {"rejected at the form", "rejected at the invitation", "timedout"} < set(found["ends"])
    assert [row[:2] for row in found["times"]] == [[row[0], row[2]] for row in counted if row[2]]
    assert all(bool(0 < row[2] <= row[3]) for row in found["times"])
    assert found["blocked"] == [["terminal_state", "ignored", 10, 10]]
    assert found["erased"] == 1
    recount = {name: (stored, exported) for name, stored, exported in found["recount"]}
    assert recount.pop("signal-parked") == (10, None)
    assert recount.pop("erasure-receipt") == (1, None)
    assert recount["rejected"] == (20, 20)
    assert recount["visitor-erased"] == (1, 1)
    assert all(stored == exported for stored, exported in recount.values())
    assert found["gaps"] == []
    sizes = {name: (events, size, blanked) for name, events, size, blanked in found["sizes"]}
    assert sizes["offered"][0] == 70
    assert {name for name, (_, __, blanked) in sizes.items() if blanked} == {"offered", "rejected"}
    assert sum(blanked for _, __, blanked in sizes.values()) == 2, "the events of the erased visitor"
    ((_, offers, events, size),) = found["at_rest"]
    assert (offers, events) == (60, 200), "all but the ten whose offer never came"
    assert 100 < size / events < 250
    assert found["arrow"] == len(report.rows)
