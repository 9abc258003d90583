-- The number of dead letters of each projection, and of the events that wait in them: every look-up, scrape and readiness check
-- asks for it, and must not count the rows. Triggers keep it, so a retry, a rebuild and an erasure need not know of it.
CREATE TABLE dead_letter_counts (
    view text PRIMARY KEY,
    letters bigint NOT NULL,
    events bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO dead_letter_counts SELECT view, count(*), sum(waiting) FROM dead_letters GROUP BY view;

CREATE FUNCTION count_dead_letters() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO dead_letter_counts AS c SELECT view, count(*), sum(waiting) FROM added GROUP BY view
        ON CONFLICT (view) DO UPDATE SET letters = c.letters + excluded.letters, events = c.events + excluded.events;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE dead_letter_counts c SET letters = c.letters - r.letters, events = c.events - r.events
        FROM (SELECT view, count(*) AS letters, sum(waiting) AS events FROM removed GROUP BY view) AS r
        WHERE r.view = c.view;
    ELSE
        -- An erasure changes texts alone. It must not lock a count, or it and the projector could wait for each other.
        UPDATE dead_letter_counts c SET events = c.events + d.events
        FROM (
            SELECT view, sum(waiting) AS events
            FROM (SELECT view, waiting FROM added UNION ALL SELECT view, -waiting FROM removed) AS both_sides
            GROUP BY view HAVING sum(waiting) <> 0
        ) AS d
        WHERE d.view = c.view;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_inserted AFTER INSERT ON dead_letters REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_dead_letters();
CREATE TRIGGER count_updated AFTER UPDATE ON dead_letters REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_dead_letters();
CREATE TRIGGER count_deleted AFTER DELETE ON dead_letters REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_dead_letters();
