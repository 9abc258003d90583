-- The epoch of the log. A writer decides under an epoch, and looks at it again between its rows and its commit. Whoever
-- must stop the writers that decided before raises it, and waits until their transactions have ended (the fence).
CREATE TABLE log_epoch (
    epoch bigint NOT NULL,
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO log_epoch (epoch) VALUES (1);

-- Ends the transaction of a writer that decided under another epoch. Called behind COPY, so that the caller holds the lock of
-- the events table, by which a fence finds it, before it looks.
CREATE FUNCTION check_epoch(decided_under bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    current_epoch bigint;
BEGIN
    SELECT epoch INTO STRICT current_epoch FROM log_epoch;
    IF current_epoch IS DISTINCT FROM decided_under THEN
        RAISE EXCEPTION 'decided under epoch %, and it is epoch % now', decided_under, current_epoch
            USING ERRCODE = 'OEPCH', DETAIL = current_epoch::text;
    END IF;
END $$;
