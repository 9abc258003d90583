-- Refusals counted by reason and quarter-hour (slot = seconds since 1970 / 900). Pruning the refusal log leaves
-- the counts. A writer appends tallies in the transaction that stores the refusals: an insert waits for no
-- other writer, as an update of a shared row would. Tallies are folded into counts in the background, and
-- whoever reads adds both up.
CREATE TABLE refusal_tallies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization text NOT NULL,
    slot integer NOT NULL,
    reason text NOT NULL,
    refusals bigint NOT NULL,
    -- how many bytes of text the refusal log keeps of them
    text_bytes bigint NOT NULL
);
CREATE INDEX refusal_tallies_by_slot ON refusal_tallies (organization, slot);

CREATE TABLE refusal_counts (
    organization text NOT NULL,
    slot integer NOT NULL,
    reason text NOT NULL,
    refusals bigint NOT NULL,
    text_bytes bigint NOT NULL,
    PRIMARY KEY (organization, slot, reason)
) WITH (fillfactor = 80);

INSERT INTO refusal_counts (organization, slot, reason, refusals, text_bytes)
SELECT organization, floor(extract(epoch FROM recorded_at) / 900)::integer, reason, count(*),
    sum(octet_length(raw))
FROM refusals GROUP BY 1, 2, 3;

-- A page of the refusals of one reason reads as many rows as it shows.
CREATE INDEX refusals_by_reason ON refusals (organization, reason, recorded_at, id);
