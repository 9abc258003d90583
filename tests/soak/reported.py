"""The reports of a service over HTTP, as the checker compares them with its own counts."""

import http.client
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from soak.evidence import Figures
from soak.listener import counted
from soak.traffic import ORGANIZATIONS


def reports_of(port: int, keys: Mapping[str, str]) -> dict[tuple[str, str, str, str | None], Figures]:
    """Ask for all reports.

    Args:
        port: Of the service.
        keys: A key of each organization that may read reports.

    Raises:
        RuntimeError: The service answers with an error.
    """
    found: dict[tuple[str, str, str, str | None], Figures] = defaultdict(dict)
    for organization in ORGANIZATIONS:
        for count_by in ("actions", "visitors"):
            for cohort in ("event", "offered"):
                for by in ("total", "hour"):
                    query = f"view=all&by={by}&count_by={count_by}&cohort={cohort}"
                    report = _get(port, keys[organization], f"/v1/reports/action-map-performance?{query}")
                    for row in report["rows"]:
                        hour = row["bucket"] if by == "hour" else None
                        key = organization, count_by, cohort, hour
                        found[key][row["action_map_id"]] = counted(row["metrics"])
    return dict(found)


def _get(port: int, key: str, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{path}: {answer.status} {text.decode()}")
    return json.loads(text)
