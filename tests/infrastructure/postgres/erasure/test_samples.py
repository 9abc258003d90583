"""PostgreSQL keeps no samples of what identifies a visitor: they would outlive an erasure."""

from importlib import resources

from offerlog_application.offerlog import Offerlog
from support.journeys import journeys
from support.recount import rows

UNSAMPLED = {
    ("visitors", "digest"),
    ("visitors", "names"),
    ("visitors", "wrapped_key"),
    ("erasing_visitors", "digest"),
    ("refusals", "visitor_digest"),
    ("refusals", "sealed_text"),
    ("offerlog_events", "state"),
    ("counted_blocks", "visitor_digest"),
    ("counted_blocks", "digest"),
    ("legal_holds", "digest"),
    ("legal_holds", "reason"),
    ("suppressions", "sealed"),
    ("parked_signals", "sealed"),
    ("dead_letters", "error"),
    ("named_actions", "action_digest"),
    ("parked_short_signals", "action_digest"),
    ("parked_short_signals", "sealed"),
}
_SELECT_UNSAMPLED = """
    SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE attstattarget = 0 AND attnum > 0 AND NOT attisdropped AND NOT relispartition
        AND relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
"""
_SELECT_SAMPLED = "SELECT tablename, attname FROM pg_stats WHERE schemaname = current_schema()"
_MIGRATION = "0020_no_samples_of_holds.sql"
_CAN_CLEAR = 180_000
"""The first version that can remove samples of a column that a view uses."""

_HELD = ["visitor-1", "visitor-2"]


def record_and_hold(offerlog: Offerlog) -> None:
    """Record visitors of every kind, and set legal holds on two of them: ANALYZE ignores a single row."""
    offerlog.wait(offerlog.record(journeys(35)).position)
    for visitor in _HELD:
        offerlog.hold_visitor(customer_id=visitor, reason=f"a lawsuit of {visitor}")


def test_analyze_samples_nothing_that_identifies_a_visitor(offerlog: Offerlog, dsn: str) -> None:
    """Also after a rebuild, which makes the tables of projections anew."""
    # given
    record_and_hold(offerlog)
    # when
    offerlog.rebuild()
    rows(dsn, "ANALYZE")
    # then
    assert set(rows(dsn, _SELECT_UNSAMPLED)) == UNSAMPLED
    sampled = set(rows(dsn, _SELECT_SAMPLED))
    assert sampled & UNSAMPLED == set()
    assert {("visitors", "token"), ("legal_holds", "held_since"), ("suppressions", "state")} <= sampled


def test_samples_of_an_older_version_are_removed(offerlog: Offerlog, dsn: str) -> None:
    """Also those of holds that were lifted, of visitors who were erased, and of partitions.

    Before PostgreSQL 18, those of a column that a view uses stay; the upgrade goes on.
    """
    # given
    record_and_hold(offerlog)
    for table, column in sorted(UNSAMPLED):
        rows(dsn, f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS -1")
    rows(dsn, "ANALYZE")
    sampled = set(rows(dsn, _SELECT_SAMPLED))
    assert {("legal_holds", "reason"), ("suppressions", "sealed"), ("visitors", "digest")} <= sampled
    assert any(table.startswith("offerlog_events_") and column == "state" for table, column in sampled)
    for visitor in _HELD:
        offerlog.lift_hold(customer_id=visitor)
        offerlog.erase(customer_id=visitor)
    for table, column in sorted(UNSAMPLED):
        rows(dsn, f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
    rows(dsn, "CREATE VIEW of_the_operator AS SELECT sealed_text FROM refusals")
    # when
    folder = resources.files("offerlog_infrastructure.postgres") / "sql"
    rows(dsn, (folder / _MIGRATION).read_text())
    # then
    left = set(rows(dsn, _SELECT_SAMPLED))
    ((version,),) = rows(dsn, "SELECT current_setting('server_version_num')::integer")
    assert left & UNSAMPLED == (set() if version >= _CAN_CLEAR else {("refusals", "sealed_text")})
    assert {column for table, column in left if table.startswith("offerlog_events")}.isdisjoint({"state"})
    assert ("visitors", "token") in left
