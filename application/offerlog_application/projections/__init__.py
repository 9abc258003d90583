"""From a page of the log to the change of a read model: pure, one module a projection."""
