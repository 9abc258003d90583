-- Positions begin with 1. NOT VALID: rows that are there are not read, which would take long; `offerlog audit verify` names them.
ALTER TABLE offerlog_events ADD CONSTRAINT positions_begin_with_1 CHECK (notification_id > 0) NOT VALID;
