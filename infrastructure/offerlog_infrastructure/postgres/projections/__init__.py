"""Projections in PostgreSQL: the projector, its tables, rebuilds and proofs."""
