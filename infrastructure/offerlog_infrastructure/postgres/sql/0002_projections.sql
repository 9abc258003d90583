-- The read side. Texts that come from outside may hold NUL, which PostgreSQL's text cannot: bytea.
CREATE TABLE offerlog_tracking (
    application_name text PRIMARY KEY,
    notification_id bigint NOT NULL
);

INSERT INTO offerlog_tracking VALUES ('current_state', 0), ('suppression', 0), ('performance', 0);

-- Current state, per visitor-offer and per action.
CREATE TABLE current_offers (
    originator_id uuid PRIMARY KEY,
    organization text NOT NULL,
    customer_id_type bytea NOT NULL,
    customer_id bytea NOT NULL,
    action_map_id uuid NOT NULL,
    action_id uuid NOT NULL,
    state text NOT NULL,
    stage text,
    since timestamptz NOT NULL,
    actions integer NOT NULL,
    lifecycle_version integer NOT NULL,
    -- when an invitation still unanswered times out, by the later of its two clocks; NULL: never
    withdrawn_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX current_offers_deadlines ON current_offers (withdrawn_at) WHERE withdrawn_at IS NOT NULL;

CREATE TABLE current_actions (
    originator_id uuid NOT NULL,
    action_id uuid NOT NULL,
    number integer NOT NULL,
    state text NOT NULL,
    stage text,
    since timestamptz NOT NULL,
    offered_at timestamptz NOT NULL,
    PRIMARY KEY (originator_id, action_id)
) WITH (fillfactor = 80);

CREATE TABLE parked_signals (
    originator_id uuid NOT NULL,
    action_id uuid NOT NULL,
    state text NOT NULL,
    organization text NOT NULL,
    parked_at timestamptz NOT NULL,
    position bigint NOT NULL,
    raw bytea NOT NULL,
    PRIMARY KEY (originator_id, action_id, state)
);
CREATE INDEX parked_signals_by_time ON parked_signals (parked_at);

-- Suppression list: a terminal state is for good, so a row is written once.
CREATE TABLE suppressions (
    organization text NOT NULL,
    customer_id_type bytea NOT NULL,
    customer_id bytea NOT NULL,
    action_map_id uuid NOT NULL,
    state text NOT NULL,
    action_id uuid NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (organization, customer_id_type, customer_id, action_map_id)
);
CREATE INDEX suppressions_by_action_map
    ON suppressions (organization, action_map_id, customer_id_type, customer_id);

-- Action Map Performance: counts by quarter-hours of UTC (slot = seconds since 1970 / 900).
CREATE TABLE performance_counts (
    organization text NOT NULL,
    action_map_id uuid NOT NULL,
    cohort text NOT NULL,
    slot integer NOT NULL,
    offered integer NOT NULL,
    accepted integer NOT NULL,
    rejected integer NOT NULL,
    started integer NOT NULL,
    abandoned integer NOT NULL,
    engaged integer NOT NULL,
    ignored integer NOT NULL,
    errored integer NOT NULL,
    timedout integer NOT NULL,
    PRIMARY KEY (organization, cohort, action_map_id, slot)
) WITH (fillfactor = 80);

-- One row for each time a visitor-offer reaches a state again; with the first time in every row, the
-- distinct visitors of any interval are its count less these.
CREATE TABLE performance_repeats (
    originator_id uuid NOT NULL,
    state text NOT NULL,
    ordinal integer NOT NULL,
    organization text NOT NULL,
    action_map_id uuid NOT NULL,
    slot integer NOT NULL,
    first_slot integer NOT NULL,
    offered_slot integer NOT NULL,
    first_offered_slot integer NOT NULL,
    PRIMARY KEY (originator_id, state, ordinal)
);
CREATE INDEX performance_repeats_by_action_map ON performance_repeats (organization, action_map_id);

-- The newest known display name of a map: newest by when the action happened, then by position.
CREATE TABLE action_map_names (
    organization text NOT NULL,
    action_map_id uuid NOT NULL,
    name bytea NOT NULL,
    named_at timestamptz NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (organization, action_map_id)
);
