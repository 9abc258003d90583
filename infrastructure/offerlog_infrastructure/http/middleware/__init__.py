"""Middleware: work that is done for every request, whatever its route."""
