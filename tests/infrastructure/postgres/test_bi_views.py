"""Views for BI tools: they outlive a rebuild, and a reader sees its own organization and nobody's name."""

import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.metrics import Cohort, MetricSet
from offerlog_infrastructure.postgres.projections.rebuild import loading
from support.journeys import journeys
from support.preloaded import preloaded
from support.processes import finish
from support.recount import rows, until
from support.superuser import superuser

SLICES = "offerlog_infrastructure.postgres.projections.rebuild.slices:main"
OWN_VIEWS = """
    CREATE VIEW terminal WITH (security_barrier = true) AS
        SELECT state COLLATE "C" AS state, count(*)::numeric(12, 2) AS offers, '{}'::text[] AS notes
        FROM current_offers WHERE stage IS NULL GROUP BY 1;
    CREATE VIEW over_it AS SELECT state FROM terminal JOIN suppressions USING (state);
    COMMENT ON VIEW terminal IS 'ours';
    GRANT SELECT ON terminal TO PUBLIC;
"""
DEFINITIONS = """
    SELECT c.relname, pg_get_viewdef(c.oid), c.reloptions, c.relacl::text, obj_description(c.oid)
    FROM pg_class AS c WHERE relkind = 'v' AND relnamespace::regnamespace::text LIKE 'offerlog%%' ORDER BY 1
"""


@pytest.fixture
def reader(dsn: str) -> Iterator[str]:
    """A role without any rights; the connection string of one who is logged in as it."""
    role = f"reader_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(superuser(dsn), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'".encode())
        yield make_conninfo(dsn, user=role, password="secret")  # noqa: S106 - of a throw-away server
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_views_are_read_while_projections_are_rebuilt_below_them(
    offerlog: Offerlog, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours and the operator's own: no reader fails or sees less, and the views are what they were."""
    # given views over views, with options, grants and comments, and somebody who reads on and on
    monkeypatch.setattr(loading, "_WORKER", tuple(preloaded(SLICES)))
    offerlog.wait(offerlog.record(journeys(140)).position)
    rows(dsn, OWN_VIEWS)
    question = "SELECT (SELECT count(*) FROM offerlog_bi.actions), (SELECT sum(offers) FROM terminal)"
    (least,) = rows(dsn, question)
    before, seen, over = rows(dsn, DEFINITIONS), [], threading.Event()

    def read() -> None:
        with psycopg.connect(dsn, options="-c search_path=offerlog", autocommit=True) as connection:
            while not over.is_set():
                seen.append(connection.execute(question.encode()).fetchone())

    reading = threading.Thread(target=read)
    reading.start()
    # when
    try:
        for _ in range(2):
            offerlog.rebuild()
        asked = len(seen)
        until(lambda: len(seen) > asked or not reading.is_alive())
    finally:
        over.set()
        finish(reading)
    # then
    assert len(seen) > 3
    assert set(seen) == {least}
    assert len(before) > 8
    assert rows(dsn, DEFINITIONS) == before
    offerlog.wait(offerlog.record(journeys(147)).position)
    ((actions, _),) = rows(dsn, question)
    assert actions > least[0]


def test_a_reader_sees_its_organization_alone_and_can_change_nothing(
    offerlog: Offerlog, dsn: str, reader: str
) -> None:
    """Readable columns; the counts are those of the report; no way to tables, customers or other tenants."""
    # given two organizations, a map with a name that PostgreSQL's text cannot hold, and a reader of one
    lines = journeys(70)
    offerlog.record(lines)
    named = lines[0].replace(b'"webchat"', b'"webchat", "actionMapName": "nul \\u0000 and \xc3\xbc"')
    offerlog.wait(offerlog.record([named, *lines[1:8]], organization="other").position)
    role = psycopg.conninfo.conninfo_to_dict(reader)["user"]
    with (
        psycopg.connect(reader, autocommit=True) as before,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        before.execute("SELECT * FROM offerlog_bi.actions")
    with pytest.raises(psycopg.errors.RaiseException, match="no organization 'nobody'"):
        rows(dsn, "SELECT grant_bi(%s, 'nobody')", role)
    # when
    rows(dsn, "SELECT grant_bi(%s, %s)", role, offerlog.organization)
    # then
    report = offerlog.report(ReportQuery(offerlog.organization, view=MetricSet.FULL, cohort=Cohort.OFFERED))
    with psycopg.connect(reader, autocommit=True) as connection:
        states = ", ".join(f"sum({state})::int" for state in MetricSet.FULL.states)
        for view in ("performance", "performance_by_day"):
            sums = f"SELECT action_map_id, {states} FROM offerlog_bi.{view}"  # noqa: S608 - constants
            grouped = f"{sums} WHERE cohort = 'offered' GROUP BY 1 ORDER BY 1"
            counted = connection.execute(grouped.encode()).fetchall()
            assert counted == [(row.action_map_id, *row.metrics.values()) for row in report.rows]
        blocked = connection.execute(
            "SELECT reason, count(DISTINCT visitor) FROM offerlog_bi.blocked_offers GROUP BY 1"
        )
        assert blocked.fetchall() == [("terminal_state", 10)]
        by_reason = connection.execute(
            "SELECT reason, media_type, sum(blocked)::int FROM offerlog_bi.blocked_offer_counts GROUP BY 1, 2"
        )
        assert by_reason.fetchall() == [("terminal_state", "webchat", 10)]
        offered = sum(row.metrics["nWebActionsOffered"] for row in report.rows)
        actions = connection.execute(
            "SELECT subject, visitor, action_number, state, offered_at FROM offerlog_bi.actions"
        ).fetchall()
        assert len(actions) == len({one[:3] for one in actions}) == offered
        assert all(one[0].replace("-", "").startswith(one[1]) for one in actions)
        assert {one[4].tzinfo is not None for one in actions} == {True}
        known = connection.execute("SELECT DISTINCT organization FROM offerlog_bi.visitor_offers").fetchall()
        assert known == [(offerlog.organization,)]
        assert connection.execute("SELECT organization FROM offerlog_bi.organizations").fetchall() == known
        suppressed = "SELECT action_map_id, state, until FROM offerlog_bi.suppressions ORDER BY 1, 2 LIMIT 1"
        action_map, state, until = connection.execute(suppressed).fetchall()[0]
        assert until is None
        offerlog.policies.set(action_map, {state: timedelta(seconds=1)})
        assert connection.execute(suppressed).fetchall()[0][:2] != (action_map, state)
        for forbidden in (
            "SELECT * FROM offerlog.current_offers",
            "SELECT * FROM offerlog.visitors",
            "SELECT * FROM offerlog.bi_readers",
            "DELETE FROM offerlog_bi.visitor_offers",
            "UPDATE offerlog_bi.performance SET offered = 0",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())
    assert rows(dsn, "SELECT action_map_name FROM offerlog_bi.action_maps") == [("nul \\000 and \\303\\274",)]
    # and whoever may read may read views that are made anew, until the right is taken away
    rows(dsn, "DROP SCHEMA offerlog_bi CASCADE")
    assert rows(dsn, "SELECT make_bi_views()") == [(True,)]
    with psycopg.connect(reader) as again:
        assert again.execute("SELECT count(*) FROM offerlog_bi.actions").fetchone() == (offered,)
    rows(dsn, "SELECT revoke_bi(%s)", role)
    assert rows(dsn, "SELECT make_bi_views()") == [(True,)]
    with (
        psycopg.connect(reader, autocommit=True) as after,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        after.execute("SELECT * FROM offerlog_bi.actions")
