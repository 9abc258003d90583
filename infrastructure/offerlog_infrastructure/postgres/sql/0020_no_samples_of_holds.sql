-- ANALYZE copies samples of a column into pg_statistic, where they outlive the rows. No plan needs those of these columns.
ALTER TABLE legal_holds ALTER COLUMN digest SET STATISTICS 0, ALTER COLUMN reason SET STATISTICS 0;
ALTER TABLE suppressions ALTER COLUMN sealed SET STATISTICS 0;
ALTER TABLE parked_signals ALTER COLUMN sealed SET STATISTICS 0;
ALTER TABLE dead_letters ALTER COLUMN error SET STATISTICS 0;

-- A column without a target keeps the samples that it has. They go by a function since PostgreSQL 18, and with a change of
-- the type before, also one to the same type. A view of the operator's forbids that change, and must not stop the upgrade.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT DISTINCT s.schemaname, s.tablename, s.attname, s.inherited,
            coalesce(pg_partition_root(a.attrelid), a.attrelid)::regclass AS root,
            format_type(a.atttypid, a.atttypmod) AS type
        FROM pg_stats AS s JOIN pg_attribute AS a
            ON a.attrelid = format('%I.%I', s.schemaname, s.tablename)::regclass AND a.attname = s.attname
        WHERE s.schemaname = current_schema() AND a.attstattarget = 0
    LOOP
        IF current_setting('server_version_num')::integer >= 180000 THEN
            PERFORM pg_clear_attribute_stats(one.schemaname, one.tablename, one.attname, one.inherited);
        ELSE
            BEGIN
                EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', one.root, one.attname, one.type);
            EXCEPTION WHEN feature_not_supported THEN
                RAISE WARNING 'pg_statistic keeps samples of %.%, because a view uses it: drop the view and run '
                    'ALTER TABLE % ALTER COLUMN % TYPE %', one.root, one.attname, one.root, one.attname, one.type;
            END;
        END IF;
    END LOOP;
END
$$;
