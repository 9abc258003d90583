"""Backups of a store: one file with a manifest and a dump, and its restore into a new data folder."""
