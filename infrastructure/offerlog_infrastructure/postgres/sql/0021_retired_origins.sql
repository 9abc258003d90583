-- Names of logs under which nothing may be signed any more in this store: a backup was restored, and the log may be shorter
-- than the one that was signed under the name (docs/decisions/0039).
CREATE TABLE retired_origins (
    retired_at timestamptz NOT NULL,
    origin text PRIMARY KEY,
    -- the backup that was restored
    backup uuid NOT NULL,
    -- the largest signed checkpoint of the name that was known at the restore; NULL: none
    note text
);
