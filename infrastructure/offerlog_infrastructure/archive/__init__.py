"""Files of archived events: their format, and the places where they lie. Nothing here knows the database."""
