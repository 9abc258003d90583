"""Webhooks: events are sent to addresses of downstream systems: signed, in order, and until they arrive."""
