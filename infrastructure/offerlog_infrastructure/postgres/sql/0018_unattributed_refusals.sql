-- Refusals of which nobody can say whose they are, by age: they have a retention of their own.
CREATE INDEX refusals_unattributed ON refusals (recorded_at, id) WHERE visitor_digest IS NULL;
