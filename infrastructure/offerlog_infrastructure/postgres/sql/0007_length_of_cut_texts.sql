-- Texts of refused and parked signals are cut at 4 KiB from here on. The length that a cut text had; NULL: whole.
ALTER TABLE refusals ADD COLUMN raw_length integer;
ALTER TABLE parked_signals ADD COLUMN raw_length integer;
