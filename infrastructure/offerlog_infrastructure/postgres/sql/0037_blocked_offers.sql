-- Blocked offers, counted exactly: tallies in the log, and their counts by quarter-hour.

-- Names of blocked offers that may be reported again: an event id of the vendor, or an action id that a caller has named. The append
-- that counts one writes its row, so no name is counted twice. A row goes with its visitor, and is kept for ever otherwise. The digests
-- are keyed with the organization's secret.
CREATE TABLE counted_blocks (
    recorded_at timestamptz NOT NULL,
    visitor_digest uuid NOT NULL,
    digest uuid NOT NULL,
    organization text NOT NULL,
    PRIMARY KEY (organization, visitor_digest, digest)
);
-- The server keeps no samples of what names a visitor: an erasure could not remove them.
ALTER TABLE counted_blocks ALTER COLUMN visitor_digest SET STATISTICS 0, ALTER COLUMN digest SET STATISTICS 0;

-- Counts of all blocked offers: those of tallies, and those that are remembered in a visitor-offer.
CREATE TABLE blocked_counts (
    blocked bigint NOT NULL,
    -- NULL: not known, here and of the version
    action_map_version bigint,
    action_map_id uuid NOT NULL,
    slot integer NOT NULL,
    organization text NOT NULL,
    reason text NOT NULL,
    media_type text,
    CONSTRAINT blocked_counts_key
        UNIQUE NULLS NOT DISTINCT (organization, slot, action_map_id, reason, media_type, action_map_version)
);

-- The projection is folded anew from the log, in the background.
TRUNCATE performance_counts, performance_days, performance_repeats, action_map_names, form_rejections, blocked_offers;
DELETE FROM projection_proofs WHERE view = 'performance';
DELETE FROM dead_letters WHERE view = 'performance';
UPDATE offerlog_tracking SET notification_id = 0 WHERE application_name = 'performance';

-- A process of an older version names a column that is gone, and stops with an error instead of writing rows without what is new.
ALTER TABLE blocked_offers RENAME COLUMN version TO event_version;
ALTER TABLE blocked_offers ADD COLUMN media_type text NOT NULL;

-- One more view for BI tools, and the function that makes the views again in a restored store.
DO $patch$
DECLARE
    known text := pg_get_functiondef('make_bi_views'::regproc);
    before text := $old$    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %I.performance WITH$old$;
    patched text := replace(known, before,
$new$    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %I.blocked_offer_counts WITH (security_barrier) AS
        SELECT organization, action_map_id::text, reason, to_timestamp(slot * 900.0) AS quarter_hour, media_type,
            action_map_version, blocked
        FROM blocked_counts WHERE %s
    $sql$, bi, mine);
$new$ || before);
BEGIN
    IF patched = known THEN
        RAISE EXCEPTION 'make_bi_views has another view of the performance than this migration knows';
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
