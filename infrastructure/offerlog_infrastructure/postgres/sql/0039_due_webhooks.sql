-- Of deliveries that are due at the same time, as all are that are sent again, the first by position is found without a sort of all of them.
DROP INDEX webhook_deliveries_due;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, next_attempt_at, position) WHERE dead_at IS NULL;
