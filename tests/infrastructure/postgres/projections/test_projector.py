"""The views show the log: each event once, whatever stops the projector."""

import random
import time
from collections.abc import Callable

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.read_models import ProjectionsBehindError
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from support.internals import stop_projector
from support.journeys import journeys, signal
from support.positions import number_of
from support.recount import contents, recounted, rows, shown, until

"""Proofs and dead letters belong to the views: they too are the same whichever way a view was fed."""

BREAK = """
    CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken on purpose'; END $$;
    CREATE TRIGGER broken BEFORE INSERT OR UPDATE ON {} EXECUTE FUNCTION broken()
"""


ADVISORY_LOCKS = """
    SELECT FROM pg_locks JOIN pg_database ON oid = database
    WHERE locktype = 'advisory' AND datname = current_database()
"""
"""Those of this database: other tests use others of the same server."""


def recorded(service: Offerlog, lines: list[bytes]) -> int:
    """The position behind the last of many signals."""
    return number_of(service.record(lines).position)


def test_the_views_equal_a_recount_of_the_log(offerlog: Offerlog, dsn: str) -> None:
    """Every kind of journey, in batches and one by one."""
    recorded(offerlog, journeys(210))
    answers = [offerlog.submit([line]) for line in journeys(420)[630:]]
    offerlog.wait(max(answer.result(60).position or 0 for answer in answers))
    assert shown(offerlog, dsn) == recounted(dsn)
    assert {status.position for status in offerlog.projections()} == {
        max(a.result(60).position or 0 for a in answers)
    }


@pytest.mark.parametrize(
    "table", ["offerlog_tracking", "current_offers", "suppressions", "performance_counts"]
)
def test_a_page_that_cannot_be_stored_whole_leaves_no_trace(offerlog: Offerlog, dsn: str, table: str) -> None:
    """View and position are one transaction: neither is there without the other, and all is made up for."""
    offerlog.wait(recorded(offerlog, journeys(14)))
    before = contents(dsn), rows(dsn, "TABLE offerlog_tracking")
    rows(dsn, BREAK.format(table))
    position = recorded(offerlog, journeys(70))
    with pytest.raises(ProjectionsBehindError, match="broken on purpose") as caught:
        offerlog.wait(position, timeout=1.0)
    assert caught.value.position == position
    assert caught.value.reached < position
    assert (contents(dsn), rows(dsn, "TABLE offerlog_tracking")) == before
    rows(dsn, f"DROP TRIGGER broken ON {table}")
    offerlog.wait(position)
    assert shown(offerlog, dsn) == recounted(dsn)


def test_waiting_ends_only_when_all_three_views_show_it(offerlog: Offerlog, dsn: str) -> None:
    """One view that cannot be written holds back the answer, although the others could show it."""
    offerlog.wait(recorded(offerlog, journeys(14)))
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as other:
        other.execute("LOCK TABLE suppressions IN SHARE MODE")
        position = recorded(offerlog, journeys(70))
        with pytest.raises(ProjectionsBehindError):
            offerlog.wait(position, timeout=0.5)
    offerlog.wait(position)
    assert all(status.position >= position for status in offerlog.projections())
    assert shown(offerlog, dsn) == recounted(dsn)


@pytest.mark.parametrize("name", ["current_state", "suppression", "performance"])
def test_waiting_is_for_the_view_that_is_furthest_behind(offerlog: Offerlog, dsn: str, name: str) -> None:
    """One view set back to the beginning, with nobody to feed it: the two others do not answer for it."""
    position = recorded(offerlog, journeys(14))
    offerlog.wait(position)
    stop_projector(offerlog)
    rows(dsn, "UPDATE offerlog_tracking SET notification_id = 0 WHERE application_name = %s", name)
    with pytest.raises(ProjectionsBehindError) as caught:
        offerlog.wait(position, timeout=0.2)
    assert caught.value.reached == 0


def test_your_own_writes_are_shown_after_waiting(offerlog: Offerlog) -> None:
    """Signal by signal: recorded, waited for, seen."""
    for n in range(30):
        receipt = offerlog.record([signal(s, visitor=n) for s in ("offered", "rejected")])
        offerlog.wait(receipt.position)
        assert [s.state for s in offerlog.suppressions(f"visitor-{n}")] == ["rejected"]


def test_there_is_no_other_view(offerlog: Offerlog) -> None:
    """A wrong name is an error, and nothing is emptied."""
    with pytest.raises(KeyError):
        offerlog.rebuild("suppressions")


def test_a_lost_connection_is_made_again(offerlog: Offerlog, dsn: str) -> None:
    """Backends that are ended again and again: still each event once."""
    chance = random.Random(3)  # noqa: S311 - chance in a test
    lines = journeys(1_400)
    end = (
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l"
        " WHERE locktype = 'advisory' AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    position = recorded(offerlog, lines)
    for _ in range(4):
        time.sleep(chance.uniform(0.05, 0.2))
        rows(dsn, end)
    offerlog.wait(position)
    assert shown(offerlog, dsn) == recounted(dsn)


def test_two_services_share_the_work_and_either_may_leave(make_dsn: Callable[[], str]) -> None:
    """For each view one is active; when it closes, the other takes over."""
    dsn = make_dsn()
    with open_offerlog(database_url=dsn, keep_deadlines=False) as first:
        second = open_offerlog(database_url=dsn, keep_deadlines=False)
        try:
            first.wait(recorded(second, journeys(35)))
            first.close()
            second.wait(recorded(second, journeys(70)))
            assert shown(second, dsn) == recounted(dsn)
        finally:
            second.close()
    until(lambda: not rows(dsn, ADVISORY_LOCKS))


def test_a_process_that_owns_no_view_is_well_again_after_a_lost_connection(dsn: str, server: str) -> None:
    """Its service would be called not ready for as long as another one owns the views."""
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False) as owner,
        open_offerlog(database_url=dsn, keep_deadlines=False) as other,
    ):
        owner.wait(recorded(owner, journeys(35)))
        # when all connections are ended
        rows(
            server,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            conninfo_to_dict(dsn)["dbname"],
        )
        until(lambda: other.store_trouble() is not None)
        # then both have forgotten it soon
        until(lambda: owner.store_trouble() is None and other.store_trouble() is None)
        owner.wait(recorded(other, journeys(70)))
