"""Models of how processes take turns without waiting for each other, and searches of all orders of steps.

A model is a Promela file beside this one. Its head says what is modelled, what is searched for, and which
faults a macro switches on. `checks.py` lists what is searched within which bounds, and `search.py` searches.
`docs/reliability.md` says what the models leave out.
"""
