"""A projection built anew beside the live one: proved before it is put in its place."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.rebuilds import (
    ProjectionsDifferError,
    RebuildProgress,
    RebuildRunningError,
)
from offerlog_infrastructure.postgres.projections.rebuild import loading, staging
from offerlog_infrastructure.postgres.projections.rebuild import swap as switch
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS
from support.journeys import journeys
from support.preloaded import preloaded
from support.processes import LimitedProcess, finish
from support.recount import contents, recounted, rows, shown, until
from support.superuser import superuser

REBUILDING = """
import sys, time
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.projections.rebuild import loading, staging
staging.EVENTS_A_SLICE = 100
def on_progress(step):
    print(step.stage, step.events, flush=True)
    if step.events:
        time.sleep(60)  # until it is killed
with open_offerlog(database_url=sys.argv[1], keep_deadlines=False) as service:
    service.rebuild(on_progress=on_progress)
"""


SLICES = "offerlog_infrastructure.postgres.projections.rebuild.slices:main"


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "EVENTS_A_SLICE", 100)


@pytest.fixture(autouse=True)
def _workers_load_nothing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the workers of all rebuilds but those of the first test, which are started as users' are."""
    if "test_a_rebuild_leads_to_the_same_content[None]" not in request.node.name:
        monkeypatch.setattr(loading, "_WORKER", tuple(preloaded(SLICES)))


def left_over(dsn: str) -> bool:
    """Whether anything of a rebuild is still there."""
    return rows(dsn, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%%rebuild'") == [(1,)]


@pytest.mark.parametrize("name", [None, "current_state", "suppression", "performance"])
def test_a_rebuild_leads_to_the_same_content(offerlog: Offerlog, dsn: str, name: str | None) -> None:
    """The same rows, keys and indexes, proofs included; nothing is left over."""
    offerlog.wait(offerlog.record(journeys(350)).position)
    indexes = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'offerlog'"
    before, had = contents(dsn), sorted(rows(dsn, indexes))
    steps: list[RebuildProgress] = []
    offerlog.rebuild(name, on_progress=steps.append)
    assert contents(dsn) == before
    assert sorted(rows(dsn, indexes)) == had
    assert not left_over(dsn)
    assert {"loading", "indexing", "catching up", "proving"} == {step.stage for step in steps}
    assert max(step.events for step in steps) <= steps[-1].total
    offerlog.wait(offerlog.record(journeys(420)).position)
    assert shown(offerlog, dsn) == recounted(dsn)
    assert all(not one.differences for one in offerlog.verify())


def test_readers_and_writers_go_on_meanwhile(offerlog: Offerlog, dsn: str) -> None:
    """No reader ever finds less than there was, and what is recorded meanwhile is in the new one."""
    lines = journeys(700)
    offerlog.wait(offerlog.record(lines[:1200]).position)
    least = counted(offerlog)
    seen: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append(counted(offerlog))

    reader = threading.Thread(target=read)
    reader.start()
    answers = []
    for start in range(1200, len(lines), 40):
        answers.append(offerlog.submit(lines[start : start + 40]))
        if start % 400 == 0:
            offerlog.rebuild()
    over.set()
    finish(reader)
    assert len(seen) > 3
    assert min(seen) >= least
    assert seen == sorted(seen)
    offerlog.wait(max(answer.result(60).position or 0 for answer in answers))
    assert shown(offerlog, dsn) == recounted(dsn)
    assert all(not one.differences for one in offerlog.verify())


def counted(offerlog: Offerlog) -> int:
    """How many states the report over all time counts."""
    return sum(sum(row.metrics.values()) for row in offerlog.report(ReportQuery(offerlog.organization)).rows)


def test_positions_given_up_at_the_end_of_the_log_keep_nobody_waiting(offerlog: Offerlog, dsn: str) -> None:
    """No live projection ever comes to where an append was rolled back, and none needs to."""
    offerlog.wait(offerlog.record(journeys(70)).position)
    rows(dsn, "SELECT nextval('log_positions') FROM generate_series(1, 5)")
    before = contents(dsn)
    steps: list[RebuildProgress] = []
    offerlog.rebuild(on_progress=steps.append)
    assert contents(dsn) == before
    assert steps[-1].total == rows(dsn, "SELECT max(notification_id) FROM offerlog_events")[0][0]


def test_a_difference_keeps_the_old_one_in_place(offerlog: Offerlog, dsn: str) -> None:
    """It is shown row by row; accepted, the new one takes over."""
    offerlog.wait(offerlog.record(journeys(70)).position)
    right = contents(dsn)
    rows(dsn, "UPDATE suppressions SET state = 'engaged' WHERE state = 'rejected'")
    wrong = contents(dsn)
    with pytest.raises(ProjectionsDifferError) as caught:
        offerlog.rebuild()
    assert contents(dsn) == wrong
    assert any(
        one.startswith("suppressions, only rebuilt: ") and "rejected" in one
        for one in caught.value.differences
    )
    offerlog.rebuild(accept_difference=True)
    assert contents(dsn) == right
    assert not left_over(dsn)


def test_who_might_read_a_projection_still_may(offerlog: Offerlog, dsn: str) -> None:
    """Grants on the tables move along: to a role, to hand on, and to everybody."""
    analyst = f"analyst_{uuid.uuid4().hex}"
    rows(superuser(dsn), f"CREATE ROLE {analyst}")
    rows(dsn, f"GRANT SELECT, REFERENCES ON performance_counts TO {analyst} WITH GRANT OPTION")
    rows(dsn, "GRANT SELECT ON suppressions TO PUBLIC")
    granted = "SELECT relname, relacl::text FROM pg_class WHERE relacl IS NOT NULL ORDER BY 1"
    had = rows(dsn, granted)
    assert [analyst in str(had), "=r/" in str(had)] == [True, True]
    offerlog.wait(offerlog.record(journeys(70)).position)
    offerlog.rebuild()
    assert rows(dsn, granted) == had
    rows(superuser(dsn), f"DROP OWNED BY {analyst}")
    rows(superuser(dsn), f"DROP ROLE {analyst}")


def test_the_new_tables_are_set_up_as_the_old_ones_were(offerlog: Offerlog, dsn: str) -> None:
    """An operator's storage options too; and a look-up needs the index alone at once."""
    offerlog.wait(offerlog.record(journeys(70)).position)
    rows(
        dsn, "ALTER TABLE suppressions SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_enabled = off)"
    )
    options = (
        "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'offerlog'::regnamespace ORDER BY 1"
    )
    had = rows(dsn, options)
    offerlog.rebuild()
    assert rows(dsn, options) == had
    seen = """
        SELECT relpages > 0, relpages = relallvisible, reltuples > 0 FROM pg_class
        WHERE relname = %s AND relkind = 'r'
    """
    with psycopg.connect(dsn) as connection:
        assert connection.execute(seen, ("suppressions",)).fetchall() == [(True, True, True)]


def test_comparing_alone_switches_nothing(offerlog: Offerlog, dsn: str) -> None:
    """`swap=False` leaves the very tables in place, and nothing beside them."""
    offerlog.wait(offerlog.record(journeys(70)).position)
    oid = "SELECT 'suppressions'::regclass::oid"
    before = rows(dsn, oid)
    offerlog.rebuild(swap=False)
    assert rows(dsn, oid) == before
    assert not left_over(dsn)


def test_readers_go_on_while_a_switch_waits_for_one_of_them(offerlog: Offerlog, dsn: str) -> None:
    """A long transaction, a backup for instance, keeps the new tables out, and nobody from the old ones."""
    offerlog.wait(offerlog.record(journeys(70)).position)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(dsn) as backup:
        backup.execute("SELECT FROM offerlog.action_map_names")
        waiting = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
        running = pool.submit(offerlog.rebuild)
        until(lambda: rows(dsn, waiting))
        least = counted(offerlog)
        for _ in range(100):
            assert counted(offerlog) == least
            time.sleep(0.01)
        assert not running.done()
        backup.rollback()
        running.result(timeout=60)
    assert shown(offerlog, dsn) == recounted(dsn)


def test_readers_wait_for_a_switch_that_takes_its_time(offerlog: Offerlog, dsn: str) -> None:
    """On a busy disk it may take longer than a writer has patience for."""
    offerlog.wait(offerlog.record(journeys(70)).position)
    least = counted(offerlog)
    with ThreadPoolExecutor(2) as pool, psycopg.connect(dsn) as switching:
        switching.execute("LOCK TABLE offerlog.performance_days, offerlog.suppressions")
        report = pool.submit(counted, offerlog)
        look_up = pool.submit(offerlog.suppressions, "visitor-1")
        time.sleep(1)
        switching.rollback()
        assert report.result(timeout=10) == least
        assert look_up.result(timeout=10)


def test_one_that_hangs_in_the_switch_is_ended(offerlog: Offerlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """All projectors wait for the switch, so the server ends it, and they go on with the old one."""
    offerlog.wait(offerlog.record(journeys(70)).position)
    hung, over = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        hung.set()
        over.wait(60)

    monkeypatch.setattr(switch, "_HANGS_SECONDS", 1)
    monkeypatch.setattr(staging.StagingSchema, "swap_in", hang)
    with ThreadPoolExecutor(1) as pool:
        switching = pool.submit(offerlog.rebuild)
        try:
            assert hung.wait(60)
            offerlog.wait(offerlog.record(journeys(140)).position, timeout=10)
        finally:
            over.set()
        with pytest.raises(StoreUnavailableError):
            switching.result(60)


def test_one_rebuild_at_a_time(offerlog: Offerlog) -> None:
    """The second is told so."""
    offerlog.wait(offerlog.record(journeys(70)).position)
    found: list[type[Exception]] = []

    def again(_: RebuildProgress) -> None:
        try:
            offerlog.rebuild()
        except RebuildRunningError as error:
            found.append(type(error))

    offerlog.rebuild(on_progress=again)
    assert set(found) == {RebuildRunningError}


def test_killed_in_the_middle_it_goes_on_the_next_time(offerlog: Offerlog, dsn: str) -> None:
    """What was loaded is not loaded again, and the content is right."""
    for start in range(0, 2800, 700):
        offerlog.record(journeys(start + 700)[start * 3 :])
    offerlog.catch_up()
    with LimitedProcess(
        [sys.executable, "-c", REBUILDING, dsn], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("loading") and line.split()[1] != "0":
                break
        os.killpg(running.pid, signal.SIGKILL)
    until(lambda: rows(dsn, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%slices%%'") == [(1,)])
    loaded = "SELECT coalesce(sum(events), 0) FROM offerlog_rebuild.slices WHERE done"
    ((before,),) = rows(dsn, loaded)
    assert before
    steps: list[RebuildProgress] = []
    offerlog.rebuild(on_progress=steps.append)
    assert steps[0].events == before
    assert not left_over(dsn)
    assert shown(offerlog, dsn) == recounted(dsn)
    assert all(not one.differences for one in offerlog.verify())


def test_a_dead_letter_is_one_in_the_rebuilt_projection_too(offerlog: Offerlog, dsn: str) -> None:
    """What cannot be read does not stop a rebuild."""
    offerlog.wait(offerlog.record(journeys(70)).position)
    rows(dsn, "INSERT INTO offerlog_events (originator_id, originator_version, topic, state)"
         " VALUES (gen_random_uuid(), 1, 'vanished.7', '?')")  # fmt: skip
    offerlog.catch_up()
    had = [(one.projection, one.stream, one.waiting) for one in offerlog.dead_letters()]
    assert len(had) == 3
    offerlog.rebuild()
    assert [(one.projection, one.stream, one.waiting) for one in offerlog.dead_letters()] == had
    assert {one.name: one.short_by for one in offerlog.projections()} == {name: 1 for name, _, _ in had}
    assert all(not one.differences for one in offerlog.verify())


def test_an_empty_log_can_be_rebuilt(offerlog: Offerlog, dsn: str) -> None:
    """Nothing comes to nothing."""
    offerlog.rebuild()
    assert not left_over(dsn)


def test_a_last_slice_that_somebody_still_holds_is_waited_for(
    offerlog: Offerlog, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of a rebuild that was killed may outlive it for a moment; nothing is left out."""
    monkeypatch.setattr(staging, "EVENTS_A_SLICE", 20_000)
    offerlog.wait(offerlog.record(journeys(70)).position)
    with pytest.raises(KeyboardInterrupt):
        offerlog.rebuild(on_progress=_interrupt)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(dsn) as holding:
        holding.execute("SELECT FROM offerlog_rebuild.slices FOR UPDATE")
        running = pool.submit(offerlog.rebuild)
        with pytest.raises(TimeoutError):
            running.result(timeout=2)
        holding.rollback()
        running.result(timeout=60)
    assert shown(offerlog, dsn) == recounted(dsn)


def test_the_tables_are_part_of_what_a_build_is_known_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a migration, a rebuild begun before it is not gone on with."""
    read: list[str] = []
    read_bytes = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    staging.fingerprint_code(PROJECTIONS)
    assert {"0001_log.sql", "instants.py", "builder.py", "performance.py"} <= set(read)


def test_a_new_package_inside_another_is_part_of_what_a_build_is_known_by(tmp_path: Path) -> None:
    """A list of packages without what is nested in them would miss it silently."""
    # given a package with a module and a text that is not code
    package = tmp_path / "package"
    package.mkdir()
    (package / "module.py").write_text("1")
    (package / "readme.txt").write_text("1")
    found = [entry.name for entry in staging.list_sources(package)]
    # when a package appears two levels down
    nested = package / "room" / "inner"
    nested.mkdir(parents=True)
    (nested / "rule.py").write_text("2")
    # then its modules count too, and the text never does
    assert found == ["module.py"]
    assert {entry.name for entry in staging.list_sources(package)} == {"module.py", "rule.py"}


def test_every_module_that_the_projections_are_made_with_is_fingerprinted() -> None:
    """The rebuild of another build is begun anew, whatever module differs."""
    root = Path(staging.__file__).parents[5]
    fingerprinted = {
        str(source) for package in staging.FINGERPRINTED for source in staging.list_sources(files(package))
    }
    folders = (
        root / "domain/offerlog_domain",
        root / "application/offerlog_application",
        root / "infrastructure/offerlog_infrastructure/postgres",
    )
    assert {str(one) for folder in folders for one in folder.rglob("*.py")} <= fingerprinted


def test_another_builds_half_done_work_is_thrown_away(offerlog: Offerlog, dsn: str) -> None:
    """Only the same code goes on with an interrupted rebuild."""
    offerlog.wait(offerlog.record(journeys(70)).position)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        offerlog.rebuild(on_progress=_interrupt)
    assert time.monotonic() - began < 30
    assert left_over(dsn)
    rows(dsn, "UPDATE offerlog_rebuild.plan SET code = 'another', goal = 1")
    offerlog.rebuild()
    assert shown(offerlog, dsn) == recounted(dsn)


def _interrupt(_: RebuildProgress) -> None:
    raise KeyboardInterrupt


def test_one_rebuild_after_the_other(offerlog: Offerlog) -> None:
    """The end of the one is known to the next at once."""
    offerlog.wait(offerlog.record(journeys(7)).position)
    for _ in range(8):
        offerlog.rebuild("suppression")
