"""Everything outside: PostgreSQL, the embedded server, the command line; wired in `composition`."""
