-- The last backup that was made, for `offerlog status`.
CREATE TABLE last_backup (
    -- the moment whose state the backup holds
    made_at timestamptz NOT NULL,
    position bigint NOT NULL,
    file_bytes bigint NOT NULL,
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
