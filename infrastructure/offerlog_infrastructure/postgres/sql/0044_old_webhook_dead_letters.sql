-- Dead letters of webhooks that are older than they may be are found without a scan of all.
CREATE INDEX webhook_dead_letters ON webhook_deliveries (dead_at) WHERE dead_at IS NOT NULL;
