"""The tables of a store, as a backup and its restore read them, and the little that a restore writes."""
