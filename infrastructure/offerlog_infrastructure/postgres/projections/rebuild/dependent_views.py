"""SQL views over the tables of projections: they outlive the tables that a rebuild replaces.

A view is bound to its tables, not to their names. So a swap gives each view columns of nothing for a moment,
while nobody can read it, and its query again when the new tables are in place. Name, owner, grants and what
is built upon the view stay as they are.
"""

from collections.abc import Sequence
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Cursor, sql

_SELECT_VIEWS: LiteralString = """
    SELECT DISTINCT v.oid::bigint, n.nspname::text, v.relname::text, pg_get_userbyid(v.relowner)::text
    FROM pg_depend AS d
    JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    JOIN pg_class AS v ON v.oid = r.ev_class AND v.relkind = 'v'
    JOIN pg_namespace AS n ON n.oid = v.relnamespace
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (%s::regclass[])
        AND pg_has_role(v.relowner, 'USAGE')
    ORDER BY 2, 3
"""
"""The views over some tables that the user may replace. Another user's view still prevents a swap."""

_SELECT_QUERY: LiteralString = """
    SELECT pg_get_viewdef(oid), coalesce(reloptions, '{}'), (
        SELECT string_agg(format(
            'NULL::%%s%%s AS %%I',
            format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attcollation <> t.typcollation
                THEN format(' COLLATE %%I.%%I', n.nspname, c.collname) END,
            a.attname
        ), ', ' ORDER BY a.attnum)
        FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
        LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
        LEFT JOIN pg_namespace AS n ON n.oid = c.collnamespace
        WHERE a.attrelid = v.oid AND a.attnum > 0
    )
    FROM pg_class AS v WHERE oid = %s
"""
"""The query of a view, its options, and a list of columns of the same names and types without values."""

_REPLACE: Final = sql.SQL("CREATE OR REPLACE VIEW {name}{options} AS {query}")


class DependentView(NamedTuple):
    """A view that reads tables of projections.

    Attributes:
        oid: Its number in the database.
        name: Its name, with the schema.
        owner: Its owner.
    """

    oid: int
    name: sql.Identifier
    owner: sql.Identifier


def find_views(cursor: Cursor[Any], tables: Sequence[sql.Identifier]) -> list[DependentView]:
    """Return the views over some tables."""
    names = [table.as_string(cursor) for table in tables]
    return [
        DependentView(oid, sql.Identifier(schema, name), sql.Identifier(owner))
        for oid, schema, name, owner in cursor.execute(_SELECT_VIEWS, (names,)).fetchall()
    ]


def lock_views(cursor: Cursor[Any], dependents: Sequence[DependentView]) -> None:
    """Lock views against readers until the transaction ends; the tables below them are not touched.

    `LOCK TABLE` would lock these too, catalogs among them. A new owner that is the old one is no change, but
    it takes the lock. Lock the views before the tables, as a reader does.
    """
    for one in dependents:
        cursor.execute(sql.SQL("ALTER VIEW {} OWNER TO {}").format(one.name, one.owner))


class DetachedViews:
    """Views that read nothing while their tables are replaced. They must be locked.

    Args:
        cursor: In the transaction that replaces the tables.
        dependents: The views.
    """

    def __init__(self, cursor: Cursor[Any], dependents: Sequence[DependentView]) -> None:
        self._cursor = cursor
        self._replacements: list[sql.Composed] = []
        for one in dependents:
            row = cursor.execute(_SELECT_QUERY, (one.oid,)).fetchone()
            assert row is not None  # noqa: S101 - it is locked, so it is there
            query, options, columns = row
            with_options = sql.SQL(" WITH ({})").format(sql.SQL(", ").join(map(sql.SQL, options)))
            self._replacements.append(
                _REPLACE.format(
                    name=one.name,
                    options=with_options if options else sql.SQL(""),
                    query=sql.SQL(query.rstrip().rstrip(";")),
                )
            )
            nothing = sql.SQL("SELECT {}").format(sql.SQL(columns))
            cursor.execute(_REPLACE.format(name=one.name, options=sql.SQL(""), query=nothing))

    def attach(self) -> None:
        """Give the views their queries again, over the tables that have the names by now."""
        for one in self._replacements:
            self._cursor.execute(one)
