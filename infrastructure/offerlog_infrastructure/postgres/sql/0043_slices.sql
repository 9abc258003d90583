-- The slices of visitors that this store owns: all of them, unless there are several stores. Streams that belong to no visitor
-- (of an organization, its policies, its tallies) lie in a slice by their ids alone: each store has its own.
CREATE TABLE slices (
    slice smallint PRIMARY KEY CHECK (slice BETWEEN 0 AND 15),
    is_owned boolean NOT NULL DEFAULT true,
    -- which of two stores has the slice, of two answers: that of the higher epoch
    epoch bigint NOT NULL DEFAULT 1
);
INSERT INTO slices (slice) SELECT generate_series(0, 15);

-- A writer knows the slices under the epoch of the log, and looks at that epoch before its commit. So no change here comes
-- without a new one: whoever decided before stores nothing behind the change.
CREATE FUNCTION raise_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE log_epoch SET epoch = epoch + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER raise_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON slices
    FOR EACH STATEMENT EXECUTE FUNCTION raise_epoch();
