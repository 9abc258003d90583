"""The event log in PostgreSQL: encoding, appends, reads and the safe horizon of readers."""
