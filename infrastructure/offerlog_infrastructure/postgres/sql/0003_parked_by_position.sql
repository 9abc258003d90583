-- The list of parked signals is read page by page, in order of arrival.
CREATE INDEX parked_signals_by_position ON parked_signals (organization, position);
