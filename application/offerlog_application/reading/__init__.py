"""Reading: histories, reports, lists and the calendar."""
