-- The numbers of deliveries that wait, and of dead letters, stand with their webhook: each event that is sent asks for the first,
-- each scrape for both, and dead letters may be many. Triggers keep them.
ALTER TABLE webhook_endpoints ADD COLUMN pending bigint NOT NULL DEFAULT 0, ADD COLUMN dead_letters bigint NOT NULL DEFAULT 0;

UPDATE webhook_endpoints e SET pending = d.pending, dead_letters = d.dead
FROM (
    SELECT endpoint, count(*) FILTER (WHERE dead_at IS NULL) AS pending, count(dead_at) AS dead
    FROM webhook_deliveries GROUP BY endpoint
) AS d
WHERE d.endpoint = e.id;

-- Each change is one statement for one webhook, so its row is locked once.
CREATE FUNCTION count_webhook_deliveries() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE webhook_endpoints e SET pending = e.pending + d.pending, dead_letters = e.dead_letters + d.dead
        FROM (
            SELECT endpoint, count(*) FILTER (WHERE dead_at IS NULL) AS pending, count(dead_at) AS dead
            FROM added GROUP BY endpoint
        ) AS d
        WHERE e.id = d.endpoint;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE webhook_endpoints e SET pending = e.pending - d.pending, dead_letters = e.dead_letters - d.dead
        FROM (
            SELECT endpoint, count(*) FILTER (WHERE dead_at IS NULL) AS pending, count(dead_at) AS dead
            FROM removed GROUP BY endpoint
        ) AS d
        WHERE e.id = d.endpoint;
    ELSE
        UPDATE webhook_endpoints e SET pending = e.pending - d.died, dead_letters = e.dead_letters + d.died
        FROM (
            SELECT endpoint, sum(died) AS died FROM (
                SELECT endpoint, count(dead_at) AS died FROM added GROUP BY endpoint
                UNION ALL SELECT endpoint, -count(dead_at) FROM removed GROUP BY endpoint
            ) AS both_sides
            GROUP BY endpoint HAVING sum(died) <> 0
        ) AS d
        WHERE e.id = d.endpoint;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_inserted AFTER INSERT ON webhook_deliveries REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_webhook_deliveries();
CREATE TRIGGER count_updated AFTER UPDATE ON webhook_deliveries REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_webhook_deliveries();
CREATE TRIGGER count_deleted AFTER DELETE ON webhook_deliveries REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_webhook_deliveries();
