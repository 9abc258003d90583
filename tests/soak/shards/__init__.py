"""The soak of several servers that share the visitors: `python -m soak.shards`, from the folder `tests`.

Clients, histories, the fleet, the nemesis and the checker are those of `soak`. Separate are the servers with
their faults, the mover of slices with its own, the check that everything lies where it belongs, and how fast
visitors of other servers were answered while one was down.
"""
