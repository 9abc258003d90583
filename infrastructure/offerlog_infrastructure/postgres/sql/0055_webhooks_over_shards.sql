-- Webhooks over several servers (docs/decisions/0075). The cursor of a webhook has a part for each server: `position` is that of the home.
ALTER TABLE webhook_endpoints ADD COLUMN others bigint[] NOT NULL DEFAULT '{}';

-- What waits is in order by the tenure in which it was recorded, and within one by position; 0 where there is one server.
ALTER TABLE webhook_deliveries ADD COLUMN tenure bigint NOT NULL DEFAULT 0;
DROP INDEX webhook_deliveries_of_visitor;
CREATE INDEX webhook_deliveries_of_visitor ON webhook_deliveries (endpoint, visitor, tenure, position) WHERE dead_at IS NULL;

-- The times for which this server has had a slice, but for those that began without a move. A move adds the row as it takes the slice.
CREATE TABLE slice_tenures (
    slice smallint NOT NULL CHECK (slice BETWEEN 0 AND 15),
    -- what this server records of the slice behind this position belongs to the tenure, up to the next row of the slice
    behind bigint NOT NULL,
    -- the epoch of the slice since it was taken
    epoch bigint NOT NULL,
    -- of each other server, the last event of the slice that it had recorded
    earlier bigint[] NOT NULL,
    PRIMARY KEY (slice, behind)
);
