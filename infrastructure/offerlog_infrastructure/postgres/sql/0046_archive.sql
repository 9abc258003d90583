-- The archive of cold streams: their events lie in files outside of the database, and these tables say in which.

-- The place of the files. Without a row there is no archive.
CREATE TABLE archive_place (
    place text NOT NULL,
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
-- A writer knows with the epoch of the log whether there is an archive, and looks for archived events in that case alone. So there
-- is a new epoch before the first event leaves the table.
CREATE TRIGGER raise_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON archive_place
    FOR EACH STATEMENT EXECUTE FUNCTION raise_epoch();

-- The files. A file is never changed; one whose sealed parts are blanked is another file, with the same number.
CREATE TABLE archived_files (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slice smallint NOT NULL CHECK (slice BETWEEN 0 AND 15),
    -- how often the file was replaced
    edition smallint NOT NULL DEFAULT 1,
    events integer NOT NULL CHECK (events > 0),
    bytes bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    first_stream uuid NOT NULL,
    last_stream uuid NOT NULL,
    -- the sum of the squares of the positions, as in the proofs of projections
    digest numeric NOT NULL,
    name text NOT NULL UNIQUE,
    sha256 text NOT NULL
);
CREATE INDEX archived_files_by_position ON archived_files (last_position);
CREATE INDEX archived_files_by_stream ON archived_files (last_stream);

-- The archived part of a stream: all its events up to a version, behind those of an earlier part.
CREATE TABLE settled (
    last_version integer NOT NULL,
    file integer NOT NULL REFERENCES archived_files (number),
    originator_id uuid NOT NULL,
    PRIMARY KEY (originator_id, last_version)
);

-- Files in that place that no event needs: being written, or to be removed.
CREATE TABLE archive_leftovers (
    name text PRIMARY KEY,
    is_doomed boolean NOT NULL DEFAULT false
);

-- The slices of the table from which events were moved, and whose rows are not rewritten yet.
CREATE TABLE slices_to_shrink (
    slice smallint PRIMARY KEY CHECK (slice BETWEEN 0 AND 15)
);

-- What `check_epoch` does, for builds that know of archives. Others would take an archived visitor-offer for a new one: their
-- appends fail from the first archived event on, until their processes are started anew.
CREATE FUNCTION look_at_epoch(decided_under bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    current_epoch bigint;
BEGIN
    SELECT epoch INTO STRICT current_epoch FROM log_epoch;
    IF current_epoch IS DISTINCT FROM decided_under THEN
        RAISE EXCEPTION 'decided under epoch %, and it is epoch % now', decided_under, current_epoch
            USING ERRCODE = 'OEPCH', DETAIL = current_epoch::text;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION check_epoch(decided_under bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM archive_place) THEN
        RAISE EXCEPTION 'events of this store are archived, and this process is of an older offerlog'
            USING HINT = 'Start the process anew with the present version.';
    END IF;
    PERFORM look_at_epoch(decided_under);
END $$;
