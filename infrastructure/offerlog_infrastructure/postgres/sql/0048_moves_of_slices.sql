-- A slice moves from one shard, the source, to another, the target, while writers write (docs/decisions/0068).

-- On the source: slices that it does not own any more, and whose rows it still has. A report adds up owned slices and these.
CREATE TABLE leaving_slices (
    slice smallint PRIMARY KEY CHECK (slice BETWEEN 0 AND 15),
    -- the number of the target
    target smallint NOT NULL,
    -- the epoch of the slice since the fence
    epoch bigint NOT NULL
);

-- On the target: the label of a move is the epoch under which the source owned the slice when the move began.
CREATE TABLE arriving_slices (
    slice smallint PRIMARY KEY CHECK (slice BETWEEN 0 AND 15),
    -- the number of the source
    source smallint NOT NULL,
    -- the label by which the slice may be taken; 0: by none
    label bigint NOT NULL,
    -- the highest label by which it may not be taken any more: the move was undone, or has ended
    closed bigint NOT NULL DEFAULT 0
);

-- On the home alone: the moves that are under way, for those who look. Nothing is decided by it.
CREATE TABLE slice_moves (
    slice smallint PRIMARY KEY CHECK (slice BETWEEN 0 AND 15),
    source smallint NOT NULL,
    target smallint NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    -- the events of the slice when the move began, and how many are copied
    events bigint NOT NULL DEFAULT 0,
    copied bigint NOT NULL DEFAULT 0,
    step text NOT NULL
);

-- On the source, written when the rows of a slice are deleted there: the events that it has recorded itself, and that lie on another
-- shard by now. Its tree keeps their leaves. A row goes when the slice, and so each of these events, has come back. Events that came
-- from another shard and went on are not counted: their leaves are in the tree of the shard that recorded them.
CREATE TABLE moved_events (
    slice smallint PRIMARY KEY CHECK (slice BETWEEN 0 AND 15),
    -- the number of the shard that got them; the slice may have moved on from there
    target smallint NOT NULL,
    -- the epoch of the slice since the fence of that move
    epoch bigint NOT NULL,
    events bigint NOT NULL CHECK (events > 0),
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    -- the sum of the squares of the positions, as in the proofs of projections
    digest numeric NOT NULL
);

-- Rows of a slice that arrives are put straight into its partition: no reader by position has to see them, so none may wait for them.
CREATE OR REPLACE FUNCTION refuse_partition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('offerlog.moves_slice', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'insert into offerlog_events, not into its partition %', TG_TABLE_NAME
        USING ERRCODE = 'wrong_object_type', HINT = 'Readers of the log could miss the rows.';
END $$;
