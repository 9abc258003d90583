"""The soak: clients that keep a history, faults that a seed chooses, and a checker of what became of it all.

`run.py` puts the parts together. `docs/reliability.md` says what is checked and how to read the report.
"""
