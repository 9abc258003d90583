-- The list of parked signals goes by the time of arrival, over several servers too (docs/decisions/0072); the order of positions
-- serves no query any more.
CREATE INDEX parked_signals_by_arrival ON parked_signals (organization, parked_at, position);
DROP INDEX parked_signals_by_position;
