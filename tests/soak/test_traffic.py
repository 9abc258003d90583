"""The clients' traffic: from a seed, and of every kind."""

import json
from collections import Counter

import pytest

from soak.evidence import told_by
from soak.traffic import ORGANIZATIONS, Request, Traffic

NOON = 1_772_452_800.0


@pytest.fixture
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is dated, is dated by a clock that stands still."""
    monkeypatch.setattr("soak.traffic.time.time", lambda: NOON + 90)


def made(seed: int, client: str) -> list[Request]:
    """The first requests of a client."""
    traffic = Traffic(seed, client, NOON)
    return [traffic.next() for _ in range(300)]


@pytest.mark.usefixtures("at_noon")
def test_a_seed_repeats_the_traffic_of_each_client() -> None:
    """Other seeds and other clients have other traffic."""
    first = made(7, "a")
    assert made(7, "a") == first
    assert made(8, "a") != first
    assert made(7, "b") != first


@pytest.mark.usefixtures("at_noon")
def test_the_traffic_has_all_that_goes_wrong_with_widgets() -> None:
    """Two clients report about the same actions; some reports come again, lack a field, or are wrong."""
    # when
    one, other = made(7, "a"), made(7, "b")
    # then
    texts = Counter((request.organization, text) for request in one for text in request.signals)
    sent_signals = [(told_by(*key), count) for key, count in texts.items()]
    known = [(report, count) for report, count in sent_signals if report is not None]
    states = Counter(report.state for report, _ in known)
    assert {report.pair.organization for report, _ in known} == set(ORGANIZATIONS)
    assert len(known) < len(sent_signals), "some lack a field"
    assert any(count > 1 for _, count in known), "some come again"
    assert {
        "offered",
        "accepted",
        "started",
        "rejected",
        "engaged",
        "errored",
        "timedout",
        "qualified",
    } <= set(states)
    actions = {report.action for report, _ in known}
    of_the_other = {json.loads(text).get("actionId") for request in other for text in request.signals}
    assert actions & of_the_other, "both report about hot visitors"
    assert actions - of_the_other, "each has visitors of its own"
    offers = [request.offer for request in one if request.offer is not None]
    assert {"actionId" in offer for offer in offers} == {True, False}
