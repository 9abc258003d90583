-- Lifecycle events are stored in a compact form from here on (version 3), and visitors have shorter secrets. Rows that are there
-- stay as they are, and are read as before.

-- What `look_at_epoch` does, for builds that know these forms. Others cannot open what such builds store.
CREATE FUNCTION look_before_commit(decided_under bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    current_epoch bigint;
BEGIN
    SELECT epoch INTO STRICT current_epoch FROM log_epoch;
    IF current_epoch IS DISTINCT FROM decided_under THEN
        RAISE EXCEPTION 'decided under epoch %, and it is epoch % now', decided_under, current_epoch
            USING ERRCODE = 'OEPCH', DETAIL = current_epoch::text;
    END IF;
END $$;

-- An older process that still runs writes nothing any more.
CREATE OR REPLACE FUNCTION look_at_epoch(decided_under bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this process is of an older offerlog, which does not know the form of the events'
        USING HINT = 'Start the process anew with the present version.';
END $$;
CREATE OR REPLACE FUNCTION check_epoch(decided_under bigint) RETURNS void LANGUAGE sql AS $$
    SELECT look_at_epoch(decided_under)
$$;

-- Its projector stops at an event of a version that it does not know. It must not set such visitor-offers aside as dead letters.
CREATE FUNCTION refuse_older_projector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this process is of an older offerlog, which cannot read %', NEW.topic
        USING HINT = 'Start the process anew with the present version.';
END $$;
CREATE TRIGGER refuse_older_projector BEFORE INSERT ON dead_letters FOR EACH ROW
    WHEN (NEW.error LIKE '%this build knows no such name and version' AND NEW.topic IN (
        'offered.3', 'accepted.3', 'started.3', 'rejected.3', 'ignored.3', 'errored.3', 'timedout.3', 'abandoned.3', 'engaged.3',
        'qualified.3', 'qualifiedOutsideSchedule.3', 'offeredOutsideSchedule.3', 'frequencyCapReached.3'
    )) EXECUTE FUNCTION refuse_older_projector();

-- Positions come in order, so no room is needed between them. It holds for new pages of the indexes.
DO $$
BEGIN
    FOR n IN 0..15 LOOP
        EXECUTE format('ALTER INDEX %I SET (fillfactor = 100)', 'offerlog_events_' || to_hex(n) || '_position');
    END LOOP;
END $$;
