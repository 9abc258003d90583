"""The keyring: the keys that encrypt the keys of a store, in a file outside the data folder."""
