"""The archive of cold streams in the store: how events get into its files, and how they are read from there.

See docs/decisions/0066.
"""
