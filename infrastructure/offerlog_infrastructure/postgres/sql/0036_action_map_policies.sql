-- How long a terminal state suppresses the offer of an action map.

-- The policies that are in force. The log has every policy that was set, as an event of the map's stream; the transaction that
-- appends the event writes the row and raises the epoch. `suppress_for`: by terminal state, the seconds for which it suppresses the
-- offer; for ever without an entry. Rows of `suppressions` do not say until when: that is found when they are read, by this table.
CREATE TABLE action_map_policies (
    action_map_id uuid NOT NULL,
    organization text NOT NULL,
    suppress_for jsonb NOT NULL,
    PRIMARY KEY (organization, action_map_id)
);

-- The view of suppressions obeys the policies, by the server's clock. The function that makes the views gets another text there, so that
-- a restored store has the same view.
DO $patch$
DECLARE
    known text := pg_get_functiondef('make_bi_views'::regproc);
    patched text := replace(known,
$old$        SELECT organization, lpad(to_hex(visitor), 16, '0') AS visitor, action_map_id::text, state, since
        FROM suppressions WHERE %s$old$,
$new$        SELECT s.organization, lpad(to_hex(s.visitor), 16, '0') AS visitor, s.action_map_id::text, s.state, s.since,
            s.since + (p.suppress_for ->> s.state)::float8 * interval '1 second' AS until
        FROM suppressions AS s
        LEFT JOIN action_map_policies AS p ON p.organization = s.organization AND p.action_map_id = s.action_map_id
        WHERE coalesce(s.since + (p.suppress_for ->> s.state)::float8 * interval '1 second' > now(), true) AND s.%s$new$);
BEGIN
    IF patched = known THEN
        RAISE EXCEPTION 'make_bi_views has another view of suppressions than this migration knows';
    END IF;
    EXECUTE patched;
END $patch$;

DO $$
BEGIN
    PERFORM make_bi_views();
EXCEPTION WHEN wrong_object_type OR invalid_table_definition OR insufficient_privilege THEN
    RAISE WARNING 'the views for BI tools were not made anew: %', SQLERRM
        USING HINT = 'Rename what is in the way, then run SELECT offerlog.make_bi_views().';
END $$;
