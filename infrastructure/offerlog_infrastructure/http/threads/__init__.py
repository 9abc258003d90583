"""Threads and the event loop: which work runs where, and how answers come back."""
