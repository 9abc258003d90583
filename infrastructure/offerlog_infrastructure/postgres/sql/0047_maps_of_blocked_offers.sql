-- A widget key may bring up few new action maps. A map is also known if the organization has only blocked offers of it.
CREATE INDEX blocked_counts_by_map ON blocked_counts (organization, action_map_id);

-- The visitor-offers of actions; nine of several, so that a caller sees more than eight as too many.
CREATE OR REPLACE FUNCTION find_named_actions(digests uuid[])
RETURNS TABLE (action_digest uuid, organization text, visitor_digest uuid, action_map_id uuid)
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT asked.digest, v.organization, v.digest, known.action_map_id
    FROM unnest(digests) AS asked (digest)
    CROSS JOIN LATERAL (
        SELECT n.visitor, n.action_map_id FROM named_actions n WHERE n.action_digest = asked.digest LIMIT 9
    ) AS known
    JOIN visitors v ON v.token = known.visitor
$$;
