"""The HTTP service: routes, keys and limits around the application service, without rules of the domain."""
