"""A soak of webhooks: a receiver that fails, and services that are killed while they send to it."""
