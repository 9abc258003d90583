"""Logs, traces and messages about waits."""
