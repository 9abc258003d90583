"""The PostgreSQL side: the log, the projections' tables and the queries on them."""
