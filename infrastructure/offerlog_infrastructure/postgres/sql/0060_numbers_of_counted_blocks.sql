-- A move looks behind the fence for the names of blocked offers that came last. They have no position, so it read the whole table while
-- the slice had no owner (docs/decisions/0078). The number is drawn under the locks by which a fence knows writers.
ALTER TABLE counted_blocks ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY;
CREATE UNIQUE INDEX counted_blocks_by_number ON counted_blocks (number);
