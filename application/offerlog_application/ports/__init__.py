"""Ports: protocols of everything that the use cases need from outside; infrastructure implements them."""
