"""State that belongs to a service and not to one of its processes: limits, metrics."""
