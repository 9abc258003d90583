-- The Merkle tree over the log (RFC 6962), in tiles of up to 256 hashes (C2SP tlog-tiles), and its signed checkpoints.
CREATE TABLE tree_tiles (
    -- number of the tile in its level
    n bigint NOT NULL,
    -- of a tile of level 0: the positions of its first and its last event
    first_position bigint,
    last_position bigint,
    level smallint NOT NULL,
    -- of a tile of level 0 whose positions are not consecutive: how many are skipped before each but the first, LEB128
    gaps bytea,
    hashes bytea NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (level, n),
    CHECK ((level = 0) = (first_position IS NOT NULL AND last_position IS NOT NULL))
);
-- Hashes cannot be compressed.
ALTER TABLE tree_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
CREATE INDEX tree_tiles_by_position ON tree_tiles (first_position) WHERE level = 0;

-- How far the log is in the tree: the position of the last event in it, and the number of events.
CREATE TABLE tree_progress (
    position bigint NOT NULL,
    size bigint NOT NULL,
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
) WITH (fillfactor = 50);
INSERT INTO tree_progress (position, size) VALUES (0, 0);

-- Signed checkpoints. They are in a folder outside, too: whoever can change the tables can change these.
CREATE TABLE checkpoints (
    size bigint NOT NULL,
    signed_at timestamptz NOT NULL,
    origin text NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (origin, size)
);
