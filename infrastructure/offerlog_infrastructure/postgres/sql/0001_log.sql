-- The log. Column and table names are those the eventsourcing library reads.
CREATE TABLE organizations (
    organization text PRIMARY KEY,
    secret bytea NOT NULL CHECK (octet_length(secret) = 32)
);

-- Fixed-width columns stand in order of their alignment: no padding inside a row.
CREATE TABLE offerlog_events (
    notification_id bigserial NOT NULL,
    originator_version integer NOT NULL,
    originator_id uuid NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
) WITH (
    -- Append only: nothing to vacuum but the freeze, so let inserts alone trigger it, and rarely.
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.05
);
CREATE UNIQUE INDEX offerlog_events_notification_id_idx ON offerlog_events (notification_id);
-- A tailing reader relies on this: positions are drawn one by one, inside the appending transaction.
ALTER SEQUENCE offerlog_events_notification_id_seq CACHE 1;

CREATE TABLE refusals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization text NOT NULL,
    recorded_at timestamptz NOT NULL,
    reason text NOT NULL,
    field text,
    cause text,
    raw bytea NOT NULL
);
CREATE INDEX refusals_by_time ON refusals (organization, recorded_at, id);
