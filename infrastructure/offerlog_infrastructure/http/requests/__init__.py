"""Requests: the caller, the body, the parameters and the limits of each."""
