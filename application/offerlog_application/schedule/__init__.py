"""Work that is done again and again while a service is open."""
