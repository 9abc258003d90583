"""Observations of a store, its services and its machine, without opening the store for work."""
