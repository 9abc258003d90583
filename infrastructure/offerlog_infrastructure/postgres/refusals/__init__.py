"""The refusal log in PostgreSQL: lines, counts and the daily quota of texts."""
