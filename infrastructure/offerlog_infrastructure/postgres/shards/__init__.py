"""Several stores that share the visitors: the directory on the home, and how a store becomes a shard."""
