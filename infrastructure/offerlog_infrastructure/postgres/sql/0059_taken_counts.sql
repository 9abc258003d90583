-- On the target: the counts of a slice that it has taken, written by the take. The source subtracts them when it deletes the rows of the
-- slice, whoever tells it to (docs/decisions/0078). Rows go when it has.
CREATE TABLE taken_counts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slice smallint NOT NULL CHECK (slice BETWEEN 0 AND 15),
    -- the epoch of the slice on the source since the fence
    epoch bigint NOT NULL,
    -- a table of counts, or that of the proofs or of the dead letters
    table_name text NOT NULL,
    -- some of its rows that are of the slice, as an array of objects. Rows with the same key add up.
    counts json NOT NULL
);
