"""The checks of an operator: what is seen decides the level, and every fault comes with advice."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from offerlog_application.ports.read_models import ProjectionStatus
from offerlog_application.ports.sealed_tree import TreeProgress
from offerlog_application.ports.store_figures import (
    Backlog,
    LastBackup,
    LastCheckpoint,
    StoredCheckpoint,
    StoreFigures,
)
from offerlog_application.ports.subscriptions import Subscription
from offerlog_application.ports.webhooks import DisableReason, WebhookEndpoint, WebhookLag
from offerlog_application.status import assessments, followers, machine
from offerlog_application.status.assessments import is_healthy
from offerlog_application.status.checks import CHECKS, run_checks, summarize
from offerlog_application.status.levels import Assessment, Level, format_period, format_size
from offerlog_application.status.observation import (
    Observation,
    ObservedDisk,
    ObservedKeyring,
    ObservedService,
    ObservedWorkers,
)
from offerlog_domain.context import Rules

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
LIMITS = {
    "lag": (assessments.LAG_LIMIT, "a minute"),
    "subscriptions": (followers.SUBSCRIPTION_LIMIT, "25 hours"),
    "webhooks": (followers.WEBHOOK_LIMIT, "an hour"),
    "parked": (assessments.OVERDUE_LIMIT, "five minutes"),
    "deadlines": (assessments.OVERDUE_LIMIT, "five minutes"),
    "refusals": (assessments.FEW_REFUSALS, "100"),
    "seal_lag": (assessments.LAG_LIMIT, "a minute"),
    "checkpoint": (assessments.PERIODS_MISSED, "three periods"),
    "witness": (followers.WITNESS_LIMIT, "half an hour"),
    "backup": (assessments.BACKUP_LIMIT, "two days"),
    "disk": (machine.LITTLE_SHARE, "a tenth"),
}
"""The limit by which a check assesses, and how its text names it."""

WORDS = {
    "a minute": timedelta(minutes=1),
    "five minutes": timedelta(minutes=5),
    "half an hour": timedelta(minutes=30),
    "an hour": timedelta(hours=1),
    "25 hours": timedelta(hours=25),
    "two days": timedelta(days=2),
    "100": 100,
    "three periods": 3,
    "a tenth": 0.1,
}
MINUTE = timedelta(minutes=1)
GRACE = Rules().deadline_grace
PARKING = Rules().parking_time
SERVICE = ObservedService("http://shop:8000", None, is_reached=True, incidents=0)
WEBHOOK = WebhookEndpoint("wh_1", "default", "https://shop.example/", (), (), NOW, 6)
FIGURES = StoreFigures(
    taken_at=NOW,
    made_at=NOW - timedelta(days=30),
    server="18.1",
    database_bytes=47_200_000,
    organizations=["default"],
    position=7,
    projections=[ProjectionStatus("suppression", 7, 0, 0.0)],
    dead_letters=0,
    parked=Backlog(),
    overdue_parkings=Backlog(),
    overdue_deadlines=Backlog(),
    refusals={},
    usual_refusals={},
    tree=TreeProgress(7, 7, 0, 0.0),
    checkpoint=LastCheckpoint("shop.example/log", 7, NOW - MINUTE),
    cosigned=None,
    signed=[StoredCheckpoint("shop.example/log", 7, NOW - MINUTE, frozenset({"w"}))],
    subscriptions=[Subscription("default", "bi", 6, NOW, None, 1, 90_000.0)],
    webhooks=[WebhookLag(WEBHOOK, 1, 3_600.0)],
    keys={"k1": 1},
    backup=LastBackup(NOW - timedelta(hours=5), 6, 1_000),
    clients=(),
)
SEEN = Observation(
    at=NOW,
    version="0.1.0",
    store="/var/lib/offerlog",
    is_embedded=True,
    known_migration=28,
    migration=28,
    figures=FIGURES,
    trouble=None,
    advice=None,
    disk=ObservedDisk(100 << 20, 50 << 30, 100 << 30),
    keyring=ObservedKeyring("/etc/offerlog/keyring.json", "k1", ["k1"], None),
    services=[SERVICE],
    server_log=[],
    has_audit_key=True,
    checkpoints="/mnt/audit",
    checkpoint_period=5 * MINUTE,
    witnesses=["w"],
    rules=Rules(),
)
PROJECTION = FIGURES.projections[0]


def assessed(seen: Observation) -> Mapping[str, Assessment]:
    """Every assessment by its check."""
    return dict(run_checks(seen))


@pytest.mark.parametrize("name", LIMITS)
def test_a_check_names_the_limit_by_which_it_assesses(name: str) -> None:
    """The text is for people, and the limit is for the program."""
    limit, words = LIMITS[name]
    (check,) = (one for one in CHECKS if one.name == name)
    assert words in check.what
    assert WORDS[words] == limit


def test_a_store_in_order_is_well() -> None:
    """Every check that can be made says so, and nothing is to be done."""
    results = run_checks(SEEN)
    assert summarize(results) is Level.WELL
    assert [one.name for one in results] == [one.name for one in CHECKS]
    assert {one.name for one in results if one.assessment.level is Level.UNCHECKED} == {
        *("commands", "warnings")
    }
    assert all(one.assessment.advice is None for one in results)


SUBSCRIPTION = FIGURES.subscriptions[0]
DISABLED: dict[str, Any] = {"disabled_at": NOW, "disabled_because": DisableReason.OPERATOR}
GONE: dict[str, Any] = {"disabled_at": NOW, "disabled_because": DisableReason.GONE}
FAILING: dict[str, Any] = {"failing_since": NOW - 61 * MINUTE}
SIGNED = [StoredCheckpoint("x", 9 - n, NOW - n * 31 * MINUTE, frozenset({"another"})) for n in range(2)]
COSIGNED = StoredCheckpoint("x", 7, NOW - 70 * MINUTE, frozenset({"w"}))

WRONG: list[tuple[str, str, dict[str, Any]]] = [
    ("lag", "attention", {"projections": [replace(PROJECTION, lag_events=9, lag_seconds=61.0)]}),
    ("lag", "broken", {"projections": [replace(PROJECTION, lag_seconds=None)]}),
    ("dead_letters", "attention", {"projections": [replace(PROJECTION, short_by=3)]}),
    ("parked", "attention", {"overdue_parkings": Backlog(1, False, NOW - PARKING - 6 * MINUTE)}),
    ("deadlines", "attention", {"overdue_deadlines": Backlog(9, True, NOW - GRACE - 6 * MINUTE)}),
    ("refusals", "attention", {"refusals": {"malformed": 101}}),
    ("refusals", "attention", {"refusals": {"malformed": 301}, "usual_refusals": {"malformed": 700}}),
    ("seal_lag", "attention", {"tree": TreeProgress(5, 5, 2, 61.0)}),
    ("seal_lag", "attention", {"tree": TreeProgress(5, 5, 2, None)}),
    ("checkpoint", "attention", {"checkpoint": None}),
    ("checkpoint", "attention", {"checkpoint": LastCheckpoint("x", 6, NOW - 16 * MINUTE)}),
    ("keyring", "broken", {"keys": {"k0": 1}}),
    ("backup", "attention", {"backup": LastBackup(NOW - timedelta(hours=49), 6, 1)}),
    ("backup", "attention", {"backup": None}),
    ("subscriptions", "attention", {"subscriptions": [replace(SUBSCRIPTION, lag_seconds=90_001.0)]}),
    ("subscriptions", "attention", {"subscriptions": [replace(SUBSCRIPTION, lag_seconds=None)]}),
    ("webhooks", "attention", {"webhooks": [WebhookLag(WEBHOOK, 1, 3_601.0)]}),
    ("webhooks", "attention", {"webhooks": [WebhookLag(replace(WEBHOOK, dead_letters=1), 0, 0.0)]}),
    ("webhooks", "attention", {"webhooks": [WebhookLag(replace(WEBHOOK, **GONE), 0, 0.0)]}),
    ("webhooks", "attention", {"webhooks": [WebhookLag(replace(WEBHOOK, **FAILING), 0, 0.0)]}),
    ("witness", "attention", {"signed": [SIGNED[0], SIGNED[1], COSIGNED]}),
    ("witness", "attention", {"signed": SIGNED}),
]
WRONG_AROUND: list[tuple[str, str, dict[str, Any]]] = [
    ("store", "broken", {"trouble": "the disk of the database is full", "advice": "free space on it"}),
    ("schema", "attention", {"migration": 11, "figures": None}),
    ("schema", "broken", {"migration": 29, "figures": None}),
    ("services", "broken", {"services": [replace(SERVICE, trouble="the writer has ended")]}),
    ("services", "attention", {"services": [replace(SERVICE, is_reached=False, incidents=None)]}),
    (
        "services",
        "attention",
        {"services": [replace(SERVICE, workers=ObservedWorkers(3, [2], has_background=False))]},
    ),
    ("incidents", "attention", {"services": [replace(SERVICE, incidents=2)]}),
    ("keyring", "broken", {"keyring": replace(SEEN.keyring, trouble="may be used by others")}),
    (
        "keyring",
        "attention",
        {"keyring": ObservedKeyring("/k", "k2", ["k1", "k2"], None)},
    ),
    ("disk", "attention", {"disk": ObservedDisk(1, 9 << 30, 100 << 30)}),
    ("disk", "broken", {"disk": ObservedDisk(1, 63 << 20, 100 << 20)}),
    ("server_log", "attention", {"server_log": ["2026-03-02 09:00:00 PANIC:  no space"]}),
]


def test_a_witness_that_was_not_asked_yet_is_told_apart() -> None:
    """A new checkpoint without its cosignature is no fault, and not called cosigned."""
    seen = replace(SEEN, witnesses=["w", "another"], figures=replace(FIGURES, signed=[SIGNED[0], COSIGNED]))
    assert assessed(seen)["witness"].saw == "cosigned by another, not yet by w"


@pytest.mark.parametrize(
    ("check", "level", "seen"),
    [
        *(
            (check, level, replace(SEEN, figures=replace(FIGURES, **change)))
            for check, level, change in WRONG
        ),
        *((check, level, replace(SEEN, **change)) for check, level, change in WRONG_AROUND),
    ],
)
def test_a_fault_is_seen_by_its_check_alone_and_comes_with_advice(
    check: str, level: str, seen: Observation
) -> None:
    """One that works needs attention, one that does not is broken."""
    results = run_checks(seen)
    wrong = {one.name for one in results if one.assessment.level in {Level.ATTENTION, Level.BROKEN}}
    assert wrong == {check}
    assert assessed(seen)[check].level == level
    assert assessed(seen)[check].advice
    assert summarize(results) == level


@pytest.mark.parametrize(
    "change",
    [
        {"projections": [replace(PROJECTION, lag_events=9, lag_seconds=60.0)]},
        {"webhooks": [WebhookLag(replace(WEBHOOK, **DISABLED), 9, 90_000.0)], "subscriptions": []},
        {"webhooks": []},
        {"signed": [SIGNED[0], COSIGNED]},
        {"signed": []},
        {"overdue_parkings": Backlog(1, False, NOW - PARKING - 4 * MINUTE)},
        {"overdue_deadlines": Backlog(1, False, NOW - GRACE - 4 * MINUTE)},
        {"refusals": {"malformed": 100}},
        {"refusals": {"malformed": 101}, "made_at": NOW - timedelta(days=2)},
        {"refusals": {"malformed": 300}, "usual_refusals": {"malformed": 700}},
        {"tree": TreeProgress(5, 5, 2, 59.0)},
        {"checkpoint": LastCheckpoint("x", 7, NOW - timedelta(days=9))},
        {"checkpoint": LastCheckpoint("x", 6, NOW - 14 * MINUTE)},
        {"backup": None, "position": 0},
    ],
)
def test_the_usual_is_well(change: dict[str, Any]) -> None:
    """What passes by itself, or is as on every day."""
    assert summarize(run_checks(replace(SEEN, figures=replace(FIGURES, **change)))) is Level.WELL


def test_what_is_not_used_is_well() -> None:
    """No key, no checkpoints, no backup on a server of one's own, no service."""
    seen = replace(SEEN, has_audit_key=False, is_embedded=False, services=[], disk=None, server_log=None)
    bare = replace(seen, figures=replace(FIGURES, checkpoint=None, backup=None))
    assert summarize(run_checks(bare)) is Level.WELL
    off = replace(SEEN, checkpoint_period=timedelta(0), figures=replace(FIGURES, checkpoint=None))
    assert summarize(run_checks(off)) is Level.WELL


def test_a_store_that_cannot_be_read_leaves_its_checks_unchecked() -> None:
    """So that nothing says well that nobody has looked at."""
    seen = replace(
        SEEN, figures=None, migration=None, trouble="no answer", services=[], disk=None, server_log=None
    )
    levels = {name: one.level for name, one in assessed(seen).items()}
    assert levels.pop("store") is Level.BROKEN
    assert set(levels.values()) == {Level.UNCHECKED}


def test_without_a_service_the_advice_is_to_start_one() -> None:
    """Or to let a timer do its work."""
    late = Backlog(1, False, NOW - timedelta(days=1))
    figures = replace(FIGURES, overdue_deadlines=late, overdue_parkings=late)
    for services, words in (([], "offerlog expire"), ([SERVICE], "the log of the service")):
        seen = assessed(replace(SEEN, figures=figures, services=services))
        assert words in str(seen["deadlines"].advice)
        assert words in str(seen["parked"].advice)


@pytest.mark.parametrize(
    ("status", "healthy"),
    [
        (PROJECTION, True),
        (replace(PROJECTION, lag_seconds=61.0), False),
        (replace(PROJECTION, lag_seconds=None), False),
        (replace(PROJECTION, short_by=1), False),
    ],
)
def test_a_projection_is_healthy_without_lag_and_dead_letters(
    status: ProjectionStatus, *, healthy: bool
) -> None:
    """As the checks of both assess."""
    assert is_healthy(status) is healthy
    wrong = assessed(replace(SEEN, figures=replace(FIGURES, projections=[status])))
    assert ({wrong["lag"].level, wrong["dead_letters"].level} == {Level.WELL}) is healthy


def test_of_equal_faults_of_the_server_the_last_is_shown() -> None:
    """So that many of one kind do not hide another one."""
    faults = [f"2026-03-02 09:00:0{second} FATAL:  no space" for second in range(9)]
    seen = replace(SEEN, server_log=["2026-03-02 08:00:00 PANIC:  bad page", *faults])
    shown = assessed(seen)["server_log"].saw
    assert shown.startswith("10 in the last day, the newest: 2026-03-02 08:00:00 PANIC:  bad page; ")
    assert shown.count("no space") == 1
    assert "09:00:08" in shown


def test_figures_are_written_for_people() -> None:
    """In the largest unit that still says something."""
    periods = [format_period(seconds) for seconds in (0, 119, 120, 7_199, 7_200, 172_799, 172_800)]
    assert periods == ["0 s", "119 s", "2 min", "120 min", "2 h", "48 h", "2 d"]
    assert [format_size(size) for size in (0, 999, 1_000, 47_200_000, 5 * 10**15)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "47.2 MB",
        "5,000.0 TB",
    ]
