"""Events out: the feed of events for downstream systems, and its named subscriptions."""
