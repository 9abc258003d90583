-- A short signal that waited at the home and is refused by the server of its visitor is kept there once, however often it is tried
-- (docs/decisions/0080). The number is that of the signal at the home; it moves with the slice.
ALTER TABLE refusals ADD COLUMN parked_number bigint;
CREATE UNIQUE INDEX refusals_by_parked_number ON refusals (parked_number, visitor_digest) WHERE parked_number IS NOT NULL;
