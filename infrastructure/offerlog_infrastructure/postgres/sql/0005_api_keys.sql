-- Who may call the HTTP service. Only a digest of a key is kept: it is 256 bits of chance, so that a fast
-- digest cannot be searched for, and no key can be read here.
CREATE TABLE api_keys (
    id text PRIMARY KEY,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    organization text NOT NULL,
    role text NOT NULL CHECK (role IN ('widget', 'service', 'reporter', 'admin')),
    name text NOT NULL,
    -- from where a browser may use it; empty: from anywhere
    origins text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
