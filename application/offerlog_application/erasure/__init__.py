"""Visitors' rights: the erasure of a visitor in order, legal holds, and all that is held of a visitor."""
