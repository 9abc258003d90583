"""The action maps report over HTTP: by media type, and versions compared."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from offerlog_application.ports.keys import Role
from offerlog_domain.rate_differences import Share, rate_difference
from support.http_site import Site
from support.journeys import an_id, signal

pytest_plugins = ("support.http_site",)

MAP = an_id("map")
PATH = "/v1/reports/action-maps"


@pytest.fixture
def client(shared_site: Site) -> Iterator[httpx.Client]:
    """A reporter of an organization whose map offered 8 chats as version 3, and 8 as version 4."""
    signals = []
    for version, accepted in ((3, 2), (4, 5)):
        for n in range(8):
            named: dict[str, Any] = {"visitor": f"{version}-{n}", "actionMapVersion": version}
            states = ["qualified", "offered", *(["accepted"] if n < accepted else ["rejected"])]
            signals += [signal(state, actionMapName="Help", **named) for state in states]
    receipt = shared_site.service.record(signals)
    shared_site.service.wait(receipt.position)
    with shared_site.client(Role.REPORTER) as client:
        yield client


def test_a_map_by_media_type(client: httpx.Client) -> None:
    """With every count and rate; rates of a zero denominator are null."""
    # when
    found = client.get(PATH, params={"zone": "Europe/Berlin"}).json()
    # then
    assert [found[name] for name in ("zone", "count_by", "cohort", "by_version", "baseline")] == [
        *("Europe/Berlin", "actions", "offered", False, None)
    ]
    (row,) = found["rows"]
    assert row == {
        "action_map_id": MAP,
        "action_map_name": "Help",
        "media_type": "webchat",
        "qualified": 16,
        "blocked": 0,
        "offered": 16,
        "accepted": 7,
        "engaged": 0,
        "rejected": 9,
        "rates": {"offered": 1.0, "accepted": 7 / 16, "engaged": 0.0, "engaged_of_offered": 0.0},
    }
    assert client.get(PATH, params={"last": "1d"}).json()["rows"] == []
    assert client.get(PATH, params={"media_type": "contentOffer"}).json()["rows"] == []


def test_versions_of_a_map_are_compared(client: httpx.Client) -> None:
    """Each with the version before, or with a baseline; in figures and in words."""
    # when
    found = client.get(PATH, params={"by_version": "true"}).json()
    turned = client.get(PATH, params={"baseline": 4}).json()
    # then
    third, fourth = found["rows"]
    assert (third["action_map_version"], third["comparison"]) == (3, None)
    right = rate_difference(Share(5, 8), Share(2, 8))
    assert right is not None
    assert fourth["comparison"]["baseline"] == 3
    assert fourth["comparison"]["accepted"] == {
        **right._asdict(),
        "excludes_zero": False,
        "in_words": "Offers of version 4 are accepted 37.5 points more often than those of version 3;"
        " the 95 % interval from -9.2 to 67.3 includes 0, so chance alone may explain it.",
    }
    assert turned["baseline"] == 4
    assert [row["comparison"] and row["comparison"]["baseline"] for row in turned["rows"]] == [4, None]
    assert turned["rows"][0]["comparison"]["accepted"]["difference"] == -0.375
    events = client.get(PATH, params={"by_version": "true", "cohort": "event"}).json()
    assert [row["comparison"] for row in events["rows"]] == [None, None]


def test_a_file_by_version_has_the_comparison(client: httpx.Client) -> None:
    """In columns, empty where there is none."""
    # when
    text = client.get(PATH, params={"by_version": "true", "format": "csv"}).text
    # then
    third, fourth = csv.DictReader(io.StringIO(text, newline=""))
    assert (third["action_map_version"], third["baseline_version"], third["accepted_low"]) == ("3", "", "")
    assert (fourth["action_map_version"], fourth["baseline_version"]) == ("4", "3")
    assert float(fourth["accepted_difference"]) == 0.375
    assert float(fourth["accepted_low"]) < 0 < float(fourth["accepted_high"])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"baseline": 2**63, "by_version": "true"}, "baseline"),
        ({"by_version": "perhaps"}, "by_version"),
        ({"by_version": "false", "baseline": 3}, "baseline"),
        ({"baseline": 9}, "baseline"),
        ({"action_map": "nobody's"}, "action_map"),
        ({"last": "7 days"}, "last"),
    ],
)
def test_a_wrong_call_names_the_parameter(client: httpx.Client, asked: dict[str, Any], field: str) -> None:
    """And says what to give."""
    problem = client.get(PATH, params=asked)
    assert (problem.status_code, problem.json()["field"]) == (400, field)
