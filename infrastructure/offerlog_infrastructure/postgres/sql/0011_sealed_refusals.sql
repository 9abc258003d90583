-- Texts of refused signals are sealed: nonce, ciphertext and tag, 28 bytes longer than the text; empty where no text is
-- kept. The column has another name, so that an older process that still runs gets an error, and stores no text as it is.
ALTER TABLE refusals RENAME COLUMN raw TO sealed_text;
-- The refusals whose texts an older offerlog has stored as they are: those with an id behind `after` up to `last`. The opening
-- of the store seals them. Without a row there are none.
CREATE TABLE refusals_in_clear (
    after bigint NOT NULL,
    last bigint NOT NULL,
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO refusals_in_clear (after, last) SELECT min(id) - 1, max(id) FROM refusals HAVING count(*) > 0;
