-- Whose signal was refused, and about which action map: the keyed digest of the visitor (visitors.digest; the visitor need not
-- have a row there). NULL: the text does not say it, or an older offerlog has stored the row.
ALTER TABLE refusals ADD COLUMN visitor_digest uuid, ADD COLUMN action_map_id uuid;
-- Partial: a row that nobody can attribute costs nothing here.
CREATE INDEX refusals_by_visitor ON refusals (visitor_digest, recorded_at, id) WHERE visitor_digest IS NOT NULL;
CREATE INDEX refusals_by_action_map ON refusals (organization, action_map_id, recorded_at, id)
    WHERE action_map_id IS NOT NULL;
