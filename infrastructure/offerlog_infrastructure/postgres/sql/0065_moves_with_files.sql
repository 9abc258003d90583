-- A slice moves with its part of the archive, and the erasure of a visitor waits for the end of the move (docs/decisions/0081).

-- On the target: a slice that it has taken, and of which the source may still have rows or files. The take writes the row, and whoever
-- has deleted those at the source deletes it. Until then no visitor of the slice counts as erased.
CREATE TABLE arrived_slices (
    slice smallint PRIMARY KEY CHECK (slice BETWEEN 0 AND 15),
    -- the number of the source
    source smallint NOT NULL,
    -- the epoch of the slice on the source since the fence
    epoch bigint NOT NULL
);

-- The files of a slice that leaves are deleted with all rows that name them. The server would look through the whole table for each file.
ALTER TABLE settled DROP CONSTRAINT settled_file_fkey;
