"""Sending of webhooks: signatures, the addresses that may be reached, and HTTP."""
