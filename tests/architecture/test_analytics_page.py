"""The page on analytics: its Python runs over exports, and counts what the report counts."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.reading.exports import ExportRequest
from offerlog_application.reading.report_table import tabulate_performance
from offerlog_domain.metrics import Cohort, Granularity
from offerlog_infrastructure.export.export_format import ExportFormat
from offerlog_infrastructure.export.formats import open_writer
from support.journeys import journeys
from support.preloaded import preloaded_code

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
    "merged": len(merged) == len(actions),
    "arrow": by_day.num_rows,
}))
"""


def test_the_page_counts_what_the_report_counts(
    offerlog: Offerlog, dsn: str, tmp_path: Path, root: Path
) -> None:
    """One process for the whole page; the libraries take long to load."""
    # given
    offerlog.wait(offerlog.record(journeys(70)).position)
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
    assert found["merged"]
    assert found["arrow"] == len(report.rows)
