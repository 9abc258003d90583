-- Several stores may share the visitors: the shards of one installation. The home, which is number 0, has the list of the others
-- and the directory of the slices. In a store that is the only one, these tables are empty.
CREATE TABLE shard (
    number smallint NOT NULL CHECK (number BETWEEN 0 AND 8191),
    -- the same in all shards of an installation
    installation uuid NOT NULL,
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);

-- On the home alone: the other shards. The addresses hold no password.
CREATE TABLE shards (
    number smallint PRIMARY KEY CHECK (number BETWEEN 1 AND 8191),
    url text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);

-- On the home alone: the shard of each slice. What counts is the table `slices` of the shard: here, a slice may be on its way.
CREATE TABLE directory (
    slice smallint PRIMARY KEY CHECK (slice BETWEEN 0 AND 15),
    shard smallint NOT NULL,
    epoch bigint NOT NULL
);
