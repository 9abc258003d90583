-- Visitors who were erased. A tombstone names the visitor by the old token alone, which is in the ids of the streams.
CREATE TABLE erased_visitors (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- NULL: no event was ever recorded of the visitor, and refused texts were all there was
    token bigint UNIQUE,
    erased_at timestamptz NOT NULL,
    -- the position of the event that says so; NULL: it is not in the log yet
    position bigint,
    refusals bigint NOT NULL,
    -- NULL: the erasure is not complete
    completed_at timestamptz,
    organization text NOT NULL
);

-- The keyed digest of a visitor whose erasure is not complete: late refusals are found by it. In a table of its own, which
-- always stays small, so that it can be rewritten: a deleted row stands in the file of a table until its place is used again.
CREATE TABLE erasing_visitors (
    number bigint PRIMARY KEY REFERENCES erased_visitors (number),
    digest uuid NOT NULL
);
ALTER TABLE erasing_visitors ALTER COLUMN digest SET STATISTICS 0;

-- Visitors who may not be erased for a while, and why not.
CREATE TABLE legal_holds (
    digest uuid PRIMARY KEY,
    held_since timestamptz NOT NULL,
    organization text NOT NULL,
    reason text NOT NULL
);
CREATE INDEX legal_holds_by_organization ON legal_holds (organization, held_since);

-- A role for those who answer the requests of visitors.
ALTER TABLE api_keys DROP CONSTRAINT api_keys_role_check,
    ADD CONSTRAINT api_keys_role_check CHECK (role IN ('widget', 'service', 'reporter', 'privacy', 'admin'));

-- ANALYZE copies samples of a column into pg_statistic, where they outlive the rows. No plan needs those of these columns.
ALTER TABLE visitors ALTER COLUMN digest SET STATISTICS 0, ALTER COLUMN wrapped_key SET STATISTICS 0,
    ALTER COLUMN names SET STATISTICS 0;
ALTER TABLE offerlog_events ALTER COLUMN state SET STATISTICS 0;
