-- Sessions of the dashboard, in every process on the store. Only a digest of a session's text is kept: it is 256
-- bits of chance, so that no session can be read here.
CREATE TABLE dashboard_sessions (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    key_id text NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    opened_at timestamptz NOT NULL,
    used_at timestamptz NOT NULL
);
CREATE INDEX dashboard_sessions_of_key ON dashboard_sessions (key_id, opened_at);
