-- Named subscriptions to the feed: up to which position of the log a reader has acknowledged.
CREATE TABLE feed_subscriptions (
    organization text NOT NULL,
    name text NOT NULL,
    position bigint NOT NULL CHECK (position >= 0),
    created_at timestamptz NOT NULL,
    -- the last acknowledgement
    moved_at timestamptz,
    PRIMARY KEY (organization, name)
);
