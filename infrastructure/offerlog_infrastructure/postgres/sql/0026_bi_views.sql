-- Views for BI tools, in a schema of their own. Nothing in them names a visitor.

-- The roles that may read them; without an organization: those of all organizations. The service's role is one.
CREATE TABLE bi_readers (
    role_name text NOT NULL,
    organization text,
    UNIQUE NULLS NOT DISTINCT (role_name, organization)
);

-- Makes the views, or makes them anew; returns false where the schema cannot be made. A restored store needs it,
-- because its dump holds one schema alone. To change a table below a view, a later migration drops the schema first.
CREATE FUNCTION make_bi_views() RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $make$
DECLARE
    live text := current_schema();
    bi text := live || '_bi';
    metrics text := 'offered, accepted, rejected, started, abandoned, engaged, ignored, errored, timedout';
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
            a.started_at
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

-- Lets a role read the views, for one organization or for all (NULL). An administrator makes the role before.
CREATE FUNCTION grant_bi(reader text, of_organization text) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
DECLARE
    bi text := current_schema() || '_bi';
BEGIN
    IF of_organization IS NOT NULL AND NOT EXISTS (
        SELECT FROM organizations WHERE organization = of_organization
    ) THEN
        RAISE EXCEPTION 'the store has no organization %', quote_literal(of_organization)
            USING HINT = 'NULL stands for all organizations.';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', bi, reader);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', bi, reader);
    INSERT INTO bi_readers VALUES (reader, of_organization) ON CONFLICT DO NOTHING;
END $$;

-- Takes that right away again, for all organizations.
CREATE FUNCTION revoke_bi(reader text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    bi text := current_schema() || '_bi';
BEGIN
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', bi, reader);
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', bi, reader);
    DELETE FROM bi_readers WHERE role_name = reader;
END $$;

-- Something of the operator's may have the name of a view. That must not keep a store from being opened.
DO $$
BEGIN
    PERFORM make_bi_views();
EXCEPTION WHEN wrong_object_type OR invalid_table_definition OR insufficient_privilege THEN
    RAISE WARNING 'the views for BI tools were not made: %', SQLERRM
        USING HINT = 'Rename what is in the way, then run SELECT offerlog.make_bi_views().';
END $$;
