"""Threads and the event loop: the place where each kind of work runs, and the way its results return."""
