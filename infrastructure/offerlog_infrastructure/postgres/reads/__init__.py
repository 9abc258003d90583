"""Queries on the projections and on the log, for people and page views."""
