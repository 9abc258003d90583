-- The same counts once more by whole days of UTC (day = slot / 96, rounded down): a report over weeks reads
-- these, and quarter-hours only at the ends of its buckets.
CREATE TABLE performance_days (
    organization text NOT NULL,
    action_map_id uuid NOT NULL,
    cohort text NOT NULL,
    day integer NOT NULL,
    offered integer NOT NULL,
    accepted integer NOT NULL,
    rejected integer NOT NULL,
    started integer NOT NULL,
    abandoned integer NOT NULL,
    engaged integer NOT NULL,
    ignored integer NOT NULL,
    errored integer NOT NULL,
    timedout integer NOT NULL,
    PRIMARY KEY (organization, cohort, action_map_id, day)
) WITH (fillfactor = 80);

INSERT INTO performance_days (organization, cohort, action_map_id, day, offered, accepted, rejected, started,
    abandoned, engaged, ignored, errored, timedout)
SELECT organization, cohort, action_map_id, floor(slot / 96.0), sum(offered), sum(accepted), sum(rejected),
    sum(started), sum(abandoned), sum(engaged), sum(ignored), sum(errored), sum(timedout)
FROM performance_counts GROUP BY 1, 2, 3, 4;
