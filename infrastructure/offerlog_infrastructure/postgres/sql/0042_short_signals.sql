-- Short signals: they name their action alone, neither the visitor nor the action map.

-- The actions that were offered lately, by the digest of their id under the organization's secret: by it alone, a short signal
-- finds its visitor-offer. Rows are written with the events that offer, and removed by age or with their visitor.
CREATE TABLE named_actions (
    visitor bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    action_digest uuid NOT NULL,
    action_map_id uuid NOT NULL
);
CREATE INDEX named_actions_by_digest ON named_actions (action_digest);
CREATE INDEX named_actions_by_visitor ON named_actions (visitor);

-- The visitor-offers of actions; two of several. There are no samples of the digests, so the planner must be told to use the index.
CREATE FUNCTION find_named_actions(digests uuid[])
RETURNS TABLE (action_digest uuid, organization text, visitor_digest uuid, action_map_id uuid)
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT asked.digest, v.organization, v.digest, known.action_map_id
    FROM unnest(digests) AS asked (digest)
    CROSS JOIN LATERAL (
        SELECT n.visitor, n.action_map_id FROM named_actions n WHERE n.action_digest = asked.digest LIMIT 2
    ) AS known
    JOIN visitors v ON v.token = known.visitor
$$;

-- Short signals that wait until their action is offered. Nobody knows whose they are, so they are sealed under a key of the
-- organization: the ids, the error, and the text that came.
CREATE TABLE parked_short_signals (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parked_at timestamptz NOT NULL,
    raw_length integer,
    action_digest uuid NOT NULL,
    organization text NOT NULL,
    state text NOT NULL,
    sealed bytea NOT NULL,
    UNIQUE (action_digest, state)
);
CREATE INDEX parked_short_signals_by_organization ON parked_short_signals (organization);

-- Ends the waiting of short signals, each of which must still wait: two processes never end the same one.
CREATE FUNCTION end_short_parkings(numbers bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ended integer;
BEGIN
    PERFORM FROM parked_short_signals WHERE number = ANY (numbers) ORDER BY number FOR UPDATE;
    DELETE FROM parked_short_signals WHERE number = ANY (numbers);
    GET DIAGNOSTICS ended = ROW_COUNT;
    IF ended <> cardinality(numbers) THEN
        RAISE EXCEPTION 'some short signals do not wait any more' USING ERRCODE = 'OPARK';
    END IF;
END $$;

-- ANALYZE copies samples of a column into pg_statistic, where they outlive the rows.
ALTER TABLE named_actions ALTER COLUMN action_digest SET STATISTICS 0;
ALTER TABLE parked_short_signals ALTER COLUMN action_digest SET STATISTICS 0, ALTER COLUMN sealed SET STATISTICS 0;
