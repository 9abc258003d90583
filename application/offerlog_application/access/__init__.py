"""Access: the upkeep of the keys of the HTTP service."""
