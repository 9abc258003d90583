"""Visitors' rights in the store: erasure, legal holds, and all that is held of a visitor."""
