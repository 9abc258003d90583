-- Webhooks: addresses to which events are sent, and for each how far the log was read for it.
CREATE TABLE webhook_endpoints (
    id text PRIMARY KEY,
    organization text NOT NULL,
    url text NOT NULL,
    -- names of kinds, and ids of action maps; empty for all
    types text[] NOT NULL,
    action_maps uuid[] NOT NULL,
    created_at timestamptz NOT NULL,
    position bigint NOT NULL CHECK (position >= 0),
    disabled_at timestamptz,
    disabled_because text,
    -- nothing is sent before
    resting_until timestamptz,
    -- failures in a row, and the time of the first of them
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    delivered bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    given_up bigint NOT NULL DEFAULT 0,
    CHECK ((disabled_at IS NULL) = (disabled_because IS NULL))
);
-- The secrets that sign, encrypted with a key of the keyring; a former one until the end of its time.
CREATE TABLE webhook_secrets (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint text NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    kek smallint NOT NULL REFERENCES key_encryption_keys (number),
    wrapped_secret bytea NOT NULL,
    valid_until timestamptz
);
CREATE INDEX webhook_secrets_of_endpoint ON webhook_secrets (endpoint);
-- Events that could not be delivered at once: they wait for an attempt, or were given up (dead letters).
CREATE TABLE webhook_deliveries (
    endpoint text NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    position bigint NOT NULL,
    name text NOT NULL,
    visitor text NOT NULL,
    attempts integer NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    last_attempt_at timestamptz,
    last_status integer,
    last_error text,
    dead_at timestamptz,
    PRIMARY KEY (endpoint, position)
);
CREATE INDEX webhook_deliveries_of_visitor ON webhook_deliveries (endpoint, visitor, position) WHERE dead_at IS NULL;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, next_attempt_at) WHERE dead_at IS NULL;
