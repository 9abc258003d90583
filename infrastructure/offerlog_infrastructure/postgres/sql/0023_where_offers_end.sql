-- What analysts ask beyond the counts: where offers end, how long each step took, which offers were blocked.

-- A process of an older version that still runs must not write rows without what is new here: its statements name a column that is
-- gone, and it stops with an error instead.
ALTER TABLE current_offers RENAME COLUMN lifecycle_version TO lifecycle_events;

-- Both projections are folded anew from the log, in the background.
TRUNCATE current_offers, current_actions, parked_signals, performance_counts, performance_days, performance_repeats, action_map_names;
DELETE FROM projection_proofs WHERE view IN ('current_state', 'performance');
DELETE FROM dead_letters WHERE view IN ('current_state', 'performance');
UPDATE offerlog_tracking SET notification_id = 0 WHERE application_name IN ('current_state', 'performance');

-- When an open action was heard of last; NULL: it is over.
ALTER TABLE current_offers ADD COLUMN touched_at timestamptz;
CREATE INDEX current_offers_open ON current_offers (organization, touched_at) WHERE touched_at IS NOT NULL;

ALTER TABLE current_actions
    ADD COLUMN accepted_at timestamptz,
    ADD COLUMN started_at timestamptz,
    ADD COLUMN organization text NOT NULL,
    ADD COLUMN action_map_id uuid NOT NULL;
-- No column of these two changes but `accepted_at`: other updates of a row leave the indexes alone.
CREATE INDEX current_actions_by_offer ON current_actions (organization, action_map_id, offered_at, originator_id, number);
CREATE INDEX current_actions_accepted ON current_actions (organization, action_map_id, offered_at, originator_id, number)
    WHERE accepted_at IS NOT NULL;

-- Rejections at the form, by the quarter-hour of the offer; `performance_counts` has those at the invitation too.
CREATE TABLE form_rejections (
    organization text NOT NULL,
    action_map_id uuid NOT NULL,
    slot integer NOT NULL,
    rejections integer NOT NULL,
    PRIMARY KEY (organization, action_map_id, slot)
) WITH (fillfactor = 80);

-- Refused offers that the log remembers, by the quarter-hour of the offer.
CREATE TABLE blocked_offers (
    version integer NOT NULL,
    slot integer NOT NULL,
    originator_id uuid NOT NULL,
    action_map_id uuid NOT NULL,
    organization text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (originator_id, version)
);
CREATE INDEX blocked_offers_by_time ON blocked_offers (organization, slot, action_map_id);
