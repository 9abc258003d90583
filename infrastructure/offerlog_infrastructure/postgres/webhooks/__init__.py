"""Webhooks in PostgreSQL: endpoints, their secrets, deliveries that wait, and the turn to deliver."""
