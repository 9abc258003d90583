-- Gives the embedded database to the role that the service uses. Whatever is in it and is not PostgreSQL's own goes
-- over, views of the operator's included. It runs as the superuser, whose number is 10, on one line; again is no harm.
-- The password has 192 random bits, which nobody can guess. So it is hashed once, and not 4,096 times: a connection
-- takes half the time. PostgreSQL before 16 does not have that setting.
DO $$
DECLARE one text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'offerlog_service') THEN
        CREATE ROLE offerlog_service;
    END IF;
    PERFORM set_config(name, '1', true) FROM pg_settings WHERE name = 'scram_iterations';
    ALTER ROLE offerlog_service
        LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD '@PASSWORD';
    ALTER DATABASE offerlog OWNER TO offerlog_service;
    FOR one IN
        SELECT format('SCHEMA %I', nspname) FROM pg_namespace
        WHERE nspowner = 10 AND nspname !~ '^pg_' AND nspname <> 'information_schema'
        UNION ALL
        SELECT format('%s %I.%I', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW'
            WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, nspname, relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relowner = 10 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            AND nspname !~ '^pg_' AND nspname <> 'information_schema'
            AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
                AND (deptype = 'e' OR relkind = 'S' AND deptype IN ('a', 'i')))
        UNION ALL
        SELECT format('ROUTINE %s', p.oid::regprocedure) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        WHERE proowner = 10 AND nspname !~ '^pg_' AND nspname <> 'information_schema'
            AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid
                AND deptype = 'e')
        UNION ALL
        SELECT format('TYPE %I.%I', nspname, typname) FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
        WHERE typowner = 10 AND typtype IN ('e', 'd') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
            AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid
                AND deptype = 'e')
    LOOP
        EXECUTE format('ALTER %s OWNER TO offerlog_service', one);
    END LOOP;
END $$
