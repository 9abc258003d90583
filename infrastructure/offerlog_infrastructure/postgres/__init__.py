"""The PostgreSQL store: the log, the projections' tables, and the queries on them."""
