-- Counts by media type and by version of the map, and counts of actions that were not offered.

-- A process of an older version that still runs must not write rows without what is new here: its statements name a column or a
-- key that is gone, and it stops with an error instead.
ALTER TABLE current_offers RENAME COLUMN lifecycle_events TO events;

-- Both projections are folded anew from the log, in the background.
TRUNCATE current_offers, current_actions, parked_signals, performance_counts, performance_days, performance_repeats, action_map_names,
    form_rejections, blocked_offers;
DELETE FROM projection_proofs WHERE view IN ('current_state', 'performance');
DELETE FROM dead_letters WHERE view IN ('current_state', 'performance');
UPDATE offerlog_tracking SET notification_id = 0 WHERE application_name IN ('current_state', 'performance');

ALTER TABLE current_actions
    ADD COLUMN media_type text NOT NULL,
    ADD COLUMN action_map_version bigint;

ALTER TABLE performance_counts
    ADD COLUMN qualified integer NOT NULL DEFAULT 0,
    ADD COLUMN qualified_outside_schedule integer NOT NULL DEFAULT 0,
    ADD COLUMN offered_outside_schedule integer NOT NULL DEFAULT 0,
    ADD COLUMN frequency_cap_reached integer NOT NULL DEFAULT 0,
    ADD COLUMN media_type text NOT NULL,
    -- NULL: the signals named none
    ADD COLUMN action_map_version bigint,
    DROP CONSTRAINT performance_counts_pkey,
    ADD CONSTRAINT performance_counts_key
        UNIQUE NULLS NOT DISTINCT (organization, cohort, action_map_id, slot, media_type, action_map_version);

ALTER TABLE performance_days
    ADD COLUMN qualified integer NOT NULL DEFAULT 0,
    ADD COLUMN qualified_outside_schedule integer NOT NULL DEFAULT 0,
    ADD COLUMN offered_outside_schedule integer NOT NULL DEFAULT 0,
    ADD COLUMN frequency_cap_reached integer NOT NULL DEFAULT 0,
    ADD COLUMN media_type text NOT NULL,
    ADD COLUMN action_map_version bigint,
    DROP CONSTRAINT performance_days_pkey,
    ADD CONSTRAINT performance_days_key
        UNIQUE NULLS NOT DISTINCT (organization, cohort, action_map_id, day, media_type, action_map_version);

-- A repeat among all actions of the visitor-offer (scope 0), among those of the media type (1), and among those of the media type and
-- version (2): each has its own first time and ordinal.
ALTER TABLE performance_repeats
    ADD COLUMN scope smallint NOT NULL,
    ADD COLUMN media_type text,
    ADD COLUMN action_map_version bigint,
    DROP CONSTRAINT performance_repeats_pkey,
    ADD CONSTRAINT performance_repeats_key
        UNIQUE NULLS NOT DISTINCT (originator_id, state, scope, media_type, action_map_version, ordinal);

ALTER TABLE form_rejections
    ADD COLUMN media_type text NOT NULL,
    DROP CONSTRAINT form_rejections_pkey,
    ADD PRIMARY KEY (organization, action_map_id, slot, media_type);

-- The views for BI tools show what is new in further columns; what is built on them stays.
CREATE OR REPLACE FUNCTION make_bi_views() RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $make$
DECLARE
    live text := current_schema();
    bi text := live || '_bi';
    metrics text := 'offered, accepted, rejected, started, abandoned, engaged, ignored, errored, timedout, media_type,'
        ' action_map_version, qualified, qualified_outside_schedule, offered_outside_schedule, frequency_cap_reached';
    mine text := format('organization IN (SELECT organization FROM %I.organizations)', bi);
    reader text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = bi) THEN
        IF NOT has_database_privilege(current_database(), 'CREATE') THEN
            RETURN false;
        END IF;
        EXECUTE format('CREATE SCHEMA %I', bi);
    ELSIF NOT has_schema_privilege(bi, 'CREATE') THEN
        RETURN false;
    END IF;
    INSERT INTO bi_readers VALUES (current_user, NULL) ON CONFLICT DO NOTHING;

    -- Texts from outside may hold what PostgreSQL's text cannot: NUL, for instance. Such a text is shown escaped.
    EXECUTE format($sql$
        CREATE OR REPLACE FUNCTION %I.readable(raw bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $body$
        BEGIN
            RETURN convert_from(raw, 'UTF8');
        EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
            RETURN encode(raw, 'escape');
        END $body$
    $sql$, bi);

    -- A barrier: no function in a query may look at rows that its user may not see.
    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %I.organizations WITH (security_barrier) AS
        SELECT o.organization FROM organizations AS o
        WHERE EXISTS (
            SELECT FROM bi_readers AS r JOIN pg_roles AS p ON p.rolname = r.role_name
            WHERE (r.organization = o.organization OR r.organization IS NULL) AND pg_has_role(p.oid, 'USAGE')
        )
    $sql$, bi);
    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %1$I.action_maps WITH (security_barrier) AS
        SELECT organization, action_map_id::text, %1$I.readable(name) AS action_map_name, named_at
        FROM action_map_names WHERE %2$s
    $sql$, bi, mine);
    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %I.visitor_offers WITH (security_barrier) AS
        SELECT organization, originator_id::text AS subject, lpad(to_hex(visitor), 16, '0') AS visitor,
            action_map_id::text, state, stage, since, actions, withdrawn_at AS timeout_due_at
        FROM current_offers WHERE %s
    $sql$, bi, mine);
    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %I.actions WITH (security_barrier) AS
        SELECT o.organization, a.originator_id::text AS subject, lpad(to_hex(o.visitor), 16, '0') AS visitor,
            o.action_map_id::text, a.number AS action_number, a.state, a.stage, a.since, a.offered_at, a.accepted_at,
            a.started_at, a.media_type, a.action_map_version
        FROM current_actions AS a JOIN current_offers AS o USING (originator_id) WHERE o.%s
    $sql$, bi, mine);
    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %I.blocked_offers WITH (security_barrier) AS
        SELECT organization, originator_id::text AS subject,
            left(replace(originator_id::text, '-', ''), 16) AS visitor, action_map_id::text, reason,
            to_timestamp(slot * 900.0) AS quarter_hour
        FROM blocked_offers WHERE %s
    $sql$, bi, mine);
    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %I.suppressions WITH (security_barrier) AS
        SELECT organization, lpad(to_hex(visitor), 16, '0') AS visitor, action_map_id::text, state, since
        FROM suppressions WHERE %s
    $sql$, bi, mine);
    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %I.performance WITH (security_barrier) AS
        SELECT organization, action_map_id::text, cohort, to_timestamp(slot * 900.0) AS quarter_hour, %s
        FROM performance_counts WHERE %s
    $sql$, bi, metrics, mine);
    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %I.performance_by_day WITH (security_barrier) AS
        SELECT organization, action_map_id::text, cohort, date '1970-01-01' + day AS day_utc, %s
        FROM performance_days WHERE %s
    $sql$, bi, metrics, mine);
    EXECUTE format($sql$
        CREATE OR REPLACE VIEW %I.freshness AS
        SELECT application_name::text AS projection, notification_id AS position FROM offerlog_tracking
    $sql$, bi);

    -- Whoever may read the views may read new ones too; and again in a restored store, whose dump holds no rights.
    FOR reader IN SELECT DISTINCT r.role_name FROM bi_readers AS r JOIN pg_roles AS p ON p.rolname = r.role_name
        WHERE r.role_name <> current_user
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', bi, reader);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', bi, reader);
    END LOOP;
    RETURN true;
END $make$;

-- Something of the operator's may have the name of a view. That must not keep a store from being opened.
DO $$
BEGIN
    PERFORM make_bi_views();
EXCEPTION WHEN wrong_object_type OR invalid_table_definition OR insufficient_privilege THEN
    RAISE WARNING 'the views for BI tools were not made: %', SQLERRM
        USING HINT = 'Rename what is in the way, then run SELECT offerlog.make_bi_views().';
END $$;
