-- The running proof of each projection: for each of 16 slices of the streams (by the first four bits of the
-- id), how many events it has folded in, and the sum of the squares of their positions. Neither depends on
-- the order, and both can be had of the log itself at any position.
CREATE TABLE projection_proofs (
    view text NOT NULL,
    slice integer NOT NULL,
    events bigint NOT NULL,
    digest numeric NOT NULL,
    PRIMARY KEY (view, slice)
) WITH (fillfactor = 50);

INSERT INTO projection_proofs
SELECT t.application_name, get_byte(uuid_send(e.originator_id), 0) >> 4, count(*),
    sum(e.notification_id::numeric * e.notification_id)
FROM offerlog_tracking t JOIN offerlog_events e ON e.notification_id <= t.notification_id
GROUP BY 1, 2;

-- Visitor-offers that a projection could not take in: from which event on, why, and how many wait since.
CREATE TABLE dead_letters (
    view text NOT NULL,
    originator_id uuid NOT NULL,
    position bigint NOT NULL,
    originator_version integer NOT NULL,
    topic text NOT NULL,
    error text NOT NULL,
    dead_at timestamptz NOT NULL DEFAULT now(),
    -- as far as an event of the stream could be read; NULL: unknown
    organization text,
    action_map_id uuid,
    waiting integer NOT NULL,
    PRIMARY KEY (view, originator_id)
);

-- Which maps must not offer to a visitor is asked at every page view: the key's own index answers it.
ALTER TABLE suppressions DROP CONSTRAINT suppressions_pkey,
    ADD PRIMARY KEY (organization, customer_id_type, customer_id, action_map_id)
        INCLUDE (state, action_id, since);
