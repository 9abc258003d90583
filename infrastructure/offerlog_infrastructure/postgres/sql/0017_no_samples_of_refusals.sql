-- ANALYZE copies samples of a column into pg_statistic, where they outlive an erasure. The index answers without them.
ALTER TABLE refusals ALTER COLUMN visitor_digest SET STATISTICS 0, ALTER COLUMN sealed_text SET STATISTICS 0;
