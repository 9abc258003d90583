"""The HTTP service: the application service under routes, keys and limits; no rule of its own."""
