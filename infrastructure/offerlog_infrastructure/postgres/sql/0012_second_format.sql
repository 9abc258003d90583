-- The second format of the log: visitors with a key each, streams in 16 slices, private fields sealed.

-- A visitor of an organization. Nothing here names anybody: the digest is keyed by the organization's secret,
-- the names are sealed under the visitor's own key, and that key is encrypted by the keyring outside the store.
CREATE TABLE visitors (
    -- slice, first second and chance: the first half of the ids of all streams of this visitor
    token bigint NOT NULL,
    digest uuid PRIMARY KEY,
    -- the key that encrypts `wrapped_key` (key_encryption_keys); without a foreign key, which would cost a look-up for each row
    kek smallint NOT NULL,
    organization text NOT NULL,
    wrapped_key bytea NOT NULL,
    names bytea NOT NULL
);
CREATE UNIQUE INDEX visitors_by_token ON visitors (token);

-- The id of the stream of a visitor and an action map: the token, then 60 bits of a hash, as a UUID of version 8.
CREATE FUNCTION stream_id(token bigint, action_map_id uuid) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (
        encode(int8send(token), 'hex') || '8'
        || substr(encode(sha256(int8send(token) || uuid_send(action_map_id)), 'hex'), 1, 15)
    )::uuid
$$;

-- Rights on tables that this file makes anew, of a reporting tool for instance; granted again at its end.
CREATE TABLE carried_grants AS
SELECT c.relname::text AS table_name, acl.privilege_type, acl.is_grantable,
    CASE WHEN acl.grantee <> 0 THEN pg_get_userbyid(acl.grantee)::text END AS grantee
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
WHERE acl.grantee <> c.relowner AND c.oid = ANY (ARRAY[
    'offerlog_events', 'current_offers', 'current_actions', 'parked_signals', 'suppressions'
]::regclass[]);

-- Processes of an older offerlog may be at work: what they commit from here on would be missing below.
LOCK TABLE offerlog_events, offerlog_tracking, performance_counts IN ACCESS EXCLUSIVE MODE;

-- How far the events of the first format are rewritten (the package `conversion`). It goes with the last step.
CREATE TABLE conversion (
    step text NOT NULL DEFAULT 'rewriting' CHECK (step IN ('rewriting', 'projecting', 'comparing', 'cleaning')),
    -- the position of the first event of the last stream that is rewritten, and the number of events so far
    reached bigint NOT NULL DEFAULT 0,
    events bigint NOT NULL DEFAULT 0,
    -- true if `first_counts` counts every event, so that the counts made anew must be the same
    has_counts boolean NOT NULL
);
INSERT INTO conversion (has_counts)
SELECT notification_id >= (SELECT coalesce(max(notification_id), 0) FROM offerlog_events)
    AND NOT EXISTS (SELECT FROM dead_letters WHERE view = 'performance')
FROM offerlog_tracking WHERE application_name = 'performance';
CREATE TABLE first_counts AS SELECT * FROM performance_counts;

ALTER TABLE offerlog_events RENAME TO first_events;
ALTER INDEX offerlog_events_pkey RENAME TO first_events_pkey;
ALTER INDEX offerlog_events_notification_id_idx RENAME TO first_events_notification_id_idx;
ALTER TABLE first_events ALTER COLUMN notification_id DROP DEFAULT;
-- A position is the number of the shard, which is 0 here, and 40 bits that the shard counts up. The new name keeps older builds
-- out that are still running: every append and every reader of theirs asks the sequence by its old name, and fails.
ALTER SEQUENCE offerlog_events_notification_id_seq OWNED BY NONE MAXVALUE 1099511627775;
ALTER SEQUENCE offerlog_events_notification_id_seq RENAME TO log_positions;

-- Fixed-width columns stand in order of their alignment: no padding inside a row.
CREATE TABLE offerlog_events (
    notification_id bigint NOT NULL DEFAULT nextval('log_positions'),
    originator_version integer NOT NULL,
    originator_id uuid NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
) PARTITION BY RANGE (originator_id);
ALTER SEQUENCE log_positions OWNED BY offerlog_events.notification_id;

-- A row that goes straight into a partition would draw its position before it locks the table, and readers that
-- follow the log could pass it by (the safe horizon). The trigger fires for statements that name the partition alone.
CREATE FUNCTION refuse_partition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'insert into offerlog_events, not into its partition %', TG_TABLE_NAME
        USING ERRCODE = 'wrong_object_type', HINT = 'Readers of the log could miss the rows.';
END $$;

DO $$
DECLARE
    digits constant text := '0123456789abcdef';
    slice text;
    low text;
    high text;
BEGIN
    FOR n IN 0..15 LOOP
        slice := 'offerlog_events_' || substr(digits, n + 1, 1);
        low := CASE n WHEN 0 THEN 'MINVALUE' ELSE quote_literal(rpad(substr(digits, n + 1, 1), 32, '0')) END;
        high := CASE n WHEN 15 THEN 'MAXVALUE' ELSE quote_literal(rpad(substr(digits, n + 2, 1), 32, '0')) END;
        EXECUTE format('CREATE TABLE %I PARTITION OF offerlog_events FOR VALUES FROM (%s) TO (%s) WITH ('
            -- Append only: nothing to vacuum but the freeze, so let inserts alone trigger it, and rarely.
            'autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05)',
            slice, low, high);
        EXECUTE format('CREATE UNIQUE INDEX %I ON %I (notification_id)', slice || '_position', slice);
        EXECUTE format('CREATE TRIGGER refuse_partition BEFORE INSERT ON %I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_partition()', slice);
    END LOOP;
END $$;

-- The projections fold public fields alone. A visitor is known by the token; what a read must show is kept sealed.
DROP TABLE current_offers, current_actions, parked_signals, suppressions;

CREATE TABLE current_offers (
    visitor bigint NOT NULL,
    since timestamptz NOT NULL,
    -- when an invitation still unanswered times out, by the later of its two clocks; NULL: never
    withdrawn_at timestamptz,
    actions integer NOT NULL,
    lifecycle_version integer NOT NULL,
    originator_id uuid PRIMARY KEY,
    action_map_id uuid NOT NULL,
    organization text NOT NULL,
    state text NOT NULL,
    stage text
) WITH (fillfactor = 80);
CREATE INDEX current_offers_deadlines ON current_offers (withdrawn_at) WHERE withdrawn_at IS NOT NULL;

CREATE TABLE current_actions (
    since timestamptz NOT NULL,
    offered_at timestamptz NOT NULL,
    number integer NOT NULL,
    originator_id uuid NOT NULL,
    state text NOT NULL,
    stage text,
    PRIMARY KEY (originator_id, number)
) WITH (fillfactor = 80);

CREATE TABLE parked_signals (
    visitor bigint NOT NULL,
    parked_at timestamptz NOT NULL,
    position bigint NOT NULL,
    version integer NOT NULL,
    raw_length integer,
    originator_id uuid NOT NULL,
    action_map_id uuid NOT NULL,
    organization text NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (originator_id, version)
);
CREATE INDEX parked_signals_by_time ON parked_signals (parked_at);
CREATE INDEX parked_signals_by_position ON parked_signals (organization, position);

-- Suppression list: a terminal state is for good, so a row is written once.
CREATE TABLE suppressions (
    visitor bigint NOT NULL,
    since timestamptz NOT NULL,
    version integer NOT NULL,
    action_map_id uuid NOT NULL,
    organization text NOT NULL,
    state text NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (visitor, action_map_id)
);
CREATE INDEX suppressions_by_action_map ON suppressions (organization, action_map_id, visitor);

-- Streams have other ids now, so everything is projected anew.
TRUNCATE performance_counts, performance_days, performance_repeats, action_map_names, projection_proofs, dead_letters;
UPDATE offerlog_tracking SET notification_id = 0 WHERE application_name IN ('current_state', 'suppression', 'performance');

DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM carried_grants LOOP
        EXECUTE format('GRANT %s ON %I TO %s%s', one.privilege_type, one.table_name,
            coalesce(quote_ident(one.grantee), 'PUBLIC'), CASE WHEN one.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    DROP TABLE carried_grants;
    -- A new store has nothing to convert.
    IF NOT EXISTS (SELECT FROM first_events) THEN
        DROP TABLE first_events, first_counts, conversion;
    END IF;
END $$;
